"""Hostile folders are refused in one sentence or change nothing, run nothing, and take little time and memory."""

import multiprocessing
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hostile_folders import ADAPTERS, HARMLESS, MARK, REFUSED
from peft import LoraConfig, get_peft_model

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL, load
from modeling_florenz.cli import main


pytestmark = pytest.mark.slow
SECONDS, GIGABYTES = 5, 2


@dataclass
class Outcome:
    """What a command ended with and wrote, and its seconds of processor, of clock, and its peak of memory."""

    code: str
    output: str
    errors: str
    seconds: float
    waited: float
    gigabytes: float


def _run_here(arguments: list[str], folder: Path) -> None:
    for number, name in ((1, "out"), (2, "errors")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 4 * 2**30,) * 2)  # the machine is shared
    start, before = time.monotonic(), time.process_time()
    code = main(arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    figures = f"{code} {time.process_time() - before} {time.monotonic() - start} {peak}"
    (folder / "figures").write_text(figures)


def caption(folder: Path, *arguments: str) -> Outcome:
    """Run `florenz caption` in a process of its own, for at most a minute."""
    folder.mkdir()
    command = ["caption", str(BUNDLED_MODEL / "sample.png"), "--beams", "1", *arguments]
    process = multiprocessing.get_context("fork").Process(target=_run_here, args=(command, folder))
    process.start()
    process.join(60)
    if process.exitcode is None:
        process.kill()
        process.join()
    ended = (folder / "figures").read_text() if (folder / "figures").exists() else "killed 99 99 99"
    code, *figures = ended.split()
    return Outcome(code, (folder / "out").read_text(), (folder / "errors").read_text(), *map(float, figures))


def hostile(folder: Path, source: Path, change: Callable[[Path], object]) -> Path:
    shutil.copytree(source, folder)
    change(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "adapter"
    loaded = load()
    model = get_peft_model(loaded.model, LoraConfig(task_type="SEQ_2_SEQ_LM", target_modules=["q_proj"]))
    model.save_pretrained(folder)
    loaded.processor.save_pretrained(folder)
    config = folder / "adapter_config.json"
    config.write_text(config.read_text().replace(f'"{BUNDLED_MODEL}"', '"florenz-tiny"'))
    return folder


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    plain = caption(tmp_path_factory.mktemp("plain") / "run")
    assert plain.code == "0" and plain.output
    return plain.output


def check(outcome: Outcome, folder: Path, record: Callable[[str, object], None]) -> None:
    for name in ("code", "seconds", "waited", "gigabytes"):
        record(name, getattr(outcome, name))
    assert not list(folder.rglob(MARK)), "code of the folder ran"
    assert outcome.seconds < SECONDS and outcome.gigabytes < GIGABYTES, outcome


def check_refused(outcome: Outcome) -> None:
    assert (outcome.code, outcome.output) == ("2", ""), outcome
    assert outcome.errors.startswith("florenz: ") and outcome.errors.count("\n") == 1, outcome
    assert len(outcome.errors) < 1500


def test_there_are_sixty_folders() -> None:
    assert len(REFUSED) + len(HARMLESS) + len(ADAPTERS) >= 60


@pytest.mark.parametrize("case", REFUSED)
def test_a_hostile_model_is_refused_in_one_sentence(case: str, tmp_path: Path, record_property) -> None:
    folder = hostile(tmp_path / "model", BUNDLED_MODEL, REFUSED[case])
    outcome = caption(tmp_path / "run", "--model", str(folder))
    record_property("said", outcome.errors)
    check(outcome, folder, record_property)
    check_refused(outcome)


@pytest.mark.parametrize("case", HARMLESS)
def test_what_is_not_read_changes_nothing(case: str, tmp_path: Path, expected: str, record_property) -> None:
    folder = hostile(tmp_path / "model", BUNDLED_MODEL, HARMLESS[case])
    outcome = caption(tmp_path / "run", "--model", str(folder))
    record_property("said", outcome.errors)
    check(outcome, folder, record_property)
    assert (outcome.code, outcome.output) == ("0", expected), outcome


@pytest.mark.parametrize("case", ADAPTERS)
def test_a_hostile_adapter_is_refused_in_one_sentence(
    case: str, adapter: Path, tmp_path: Path, record_property
) -> None:
    folder = hostile(tmp_path / "adapter", adapter, ADAPTERS[case])
    outcome = caption(tmp_path / "run", "--adapter", str(folder))
    record_property("said", outcome.errors)
    check(outcome, folder, record_property)
    check_refused(outcome)


def test_the_adapter_itself_loads(adapter: Path, tmp_path: Path) -> None:
    assert caption(tmp_path / "run", "--adapter", str(adapter)).code == "0"
