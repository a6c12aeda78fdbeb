"""Commands that are killed, or run three at a time, leave nothing that is half, mixed or doubled."""

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from base_models import every_id_is_itself, florence_folder, gemma_folder
from hub_thread import HubThread, talk_to
from pushed_folders import REPO
from research_checkpoint import write_research_checkpoint
from tiny_models import tiny_config
from tqdm import tqdm

from modeling_florenz import FlorenzForConditionalGeneration, FlorenzProcessor, sizes
from modeling_florenz.card_template import find_cards
from modeling_florenz.checkpoint import composition, tensor_stream
from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.cli import main
from modeling_florenz.data.emoji_scenes.world import EmojiWorld
from modeling_florenz.publishing.companion_files import write_papers
from modeling_florenz.publishing.push import push


pytestmark = pytest.mark.slow

KILLS = 20
Content = dict[str, str]


@dataclass
class Job:
    """Describe a command: its words up to the target, what it writes first, and how to make it slow."""

    words: Callable[[Path], list[str]]
    first: Callable[[Path], bool]


class Slowness:
    """Wait before each piece that is written or sent, so that kills come in the middle."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def wait(self) -> None:
        time.sleep(self.seconds)


@pytest.fixture
def slowness(monkeypatch):
    slow, write = Slowness(), tensor_stream._write_all

    def slowly(file, values):
        slow.wait()
        write(file, values)

    monkeypatch.setattr(tensor_stream, "_write_all", slowly)
    return slow


@pytest.fixture
def hub(tmp_path, monkeypatch, slowness):
    with HubThread(tmp_path / "hub") as found:
        talk_to(found, monkeypatch)
        monkeypatch.setattr(found.handler.faults, "cut", lambda *arguments: slowness.wait())
        yield found


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "florenz-tiny"
    FlorenzForConditionalGeneration.from_pretrained(BUNDLED_MODEL).save_pretrained(folder, max_shard_size="8MB")
    FlorenzProcessor.from_pretrained(BUNDLED_MODEL).save_pretrained(folder)
    write_papers(find_cards(), "florenz-tiny", folder)
    return folder


def copy_with(model: Path, folder: Path, words: str) -> Path:
    """Copy a model and change all of its weights and its card, so that no two copies share either."""
    shutil.copytree(model, folder)
    for path in folder.glob("*.safetensors"):
        content = bytearray(path.read_bytes())
        content[-64:] = hashlib.sha512(words.encode()).digest()
        content[-64:] = bytes(byte & 0x3F for byte in content[-64:])  # no infinity among them
        path.write_bytes(content)
    with (folder / "README.md").open("a", encoding="utf-8") as card:
        card.write(f"\n{words}\n")
    return folder


@pytest.fixture
def jobs(tmp_path, monkeypatch, hub, model) -> dict[str, Job]:
    source = write_research_checkpoint(tmp_path / "source", tiny_config("gemma2"))
    config = tiny_config("gemma2")
    florence = florence_folder(tmp_path / "florence", config, "native")
    gemma = gemma_folder(tmp_path / "gemma", config)
    monkeypatch.setattr(sizes, "config_from_size", lambda size: tiny_config("gemma2"))
    monkeypatch.setattr(composition, "load_florence_tokenizer", lambda folder: range(90))
    monkeypatch.setattr(composition, "load_gemma_tokenizer", lambda folder: None)
    monkeypatch.setattr(composition, "gemma_to_florence", lambda gemma, florence: every_id_is_itself(110, 90))
    push(copy_with(model, tmp_path / "pushed", "first"), REPO)

    def partly(target: Path) -> bool:
        return any(path.is_file() for path in target.parent.glob(f"{target.name}.*partial/*.*"))

    shards = ["--no-processor", "--max-shard-size", "1MB"]
    build = ["build", "--size", "0.4b", "--florence", str(florence), "--gemma", str(gemma)]
    return {
        "convert": Job(lambda target: ["convert", str(source), str(target), *shards], partly),
        "build": Job(lambda target: [*build, str(target), *shards], partly),
        "dataset": Job(
            lambda target: ["dataset", str(target), "--train", "200", "--test", "100", "--pairs", "10"], partly
        ),
        "pull": Job(lambda target: ["pull", REPO, str(target)], partly),
    }


def start(words: list[str], output: Path) -> int:
    """Run a command in a fork of this process, which has imported everything; return its id."""
    if pid := os.fork():
        return pid
    code = 99
    tqdm.set_lock(threading.RLock())  # its usual one is shared with forks, and one that is killed never gives it back
    try:
        place = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(place, 1)
        os.dup2(place, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        code = main(words)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def finish(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def content(folder: Path) -> Content:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def titleless(found: Content) -> Content:
    """Leave out the card of a converted folder, which has the folder's name as its title."""
    return {name: digest for name, digest in found.items() if name != "README.md"}


@pytest.mark.parametrize("name", ["convert", "build", "dataset", "pull"])
def test_what_is_killed_is_whole_or_absent_and_runs_again(name, jobs, slowness, tmp_path):
    job, draw = jobs[name], random.Random(name)
    slowness.seconds = {"pull": 0.02}.get(name, 0.004)
    assert main(job.words(tmp_path / "first")) == 0  # imports for all forks
    whole = tmp_path / "whole"
    pid = start(job.words(whole), tmp_path / "log")
    while not job.first(whole):
        assert not whole.exists()
        time.sleep(0.001)
    began = time.perf_counter()
    assert finish(pid) == 0, (tmp_path / "log").read_text()
    lasts = time.perf_counter() - began
    wanted = titleless(content(whole))
    stopped = 0
    for number in range(KILLS):
        target = tmp_path / f"target-{number}"
        slowness.seconds = {"pull": 0.02}.get(name, 0.004)
        pid = start(job.words(target), tmp_path / "log")
        while not (job.first(target) or target.exists()):
            time.sleep(0.0005)
        time.sleep(draw.uniform(0, lasts))
        os.kill(pid, signal.SIGKILL)
        met = finish(pid) == -signal.SIGKILL
        stopped, lasts = stopped + met, lasts if met else 0.8 * lasts  # it was faster this time
        if target.exists():
            assert titleless(content(target)) == wanted
            continue
        slowness.seconds = 0.0
        assert finish(start(job.words(target), tmp_path / "log")) == 0, (tmp_path / "log").read_text()
        assert titleless(content(target)) == wanted
        assert not list(tmp_path.glob(f"{target.name}.*partial"))
    assert stopped >= KILLS // 2


@pytest.mark.parametrize("name", ["convert", "build", "dataset", "pull"])
def test_of_three_writers_on_one_target_one_writes_and_the_others_are_refused(name, jobs, slowness, tmp_path):
    job, target = jobs[name], tmp_path / "target"
    assert main(job.words(tmp_path / "whole")) == 0
    slowness.seconds = 0.004
    logs = [tmp_path / f"log-{number}" for number in range(3)]
    codes = [finish(pid) for pid in [start(job.words(target), log) for log in logs]]
    assert sorted(codes) == [0, 2, 2], [log.read_text() for log in logs]
    for code, log in zip(codes, logs, strict=True):
        refusal = f"florenz: another run is writing {target}" in log.read_text() or "exists already" in log.read_text()
        assert refusal == (code == 2)
    assert titleless(content(target)) == titleless(content(tmp_path / "whole"))


def test_a_pull_across_a_push_is_wholly_of_one_commit(jobs, hub, model, slowness, tmp_path):
    versions = [content(tmp_path / "pushed")]
    for number in range(4):
        target = tmp_path / f"pulled-{number}"
        slowness.seconds = 0.02
        pid = start(jobs["pull"].words(target), tmp_path / "log")
        while not jobs["pull"].first(target):
            time.sleep(0.001)
        killed = number % 2 == 1
        if killed:
            os.kill(pid, signal.SIGKILL)
            finish(pid)
        slowness.seconds = 0.0
        new = copy_with(model, tmp_path / f"new-{number}", f"version {number}")
        push(new, REPO)
        versions.append(content(new))
        if killed:
            pid = start(jobs["pull"].words(target), tmp_path / "log")
        assert finish(pid) == 0, (tmp_path / "log").read_text()
        assert content(target) == versions[-1 if killed else -2]


def test_of_three_pushes_at_once_the_last_one_stands_whole(hub, model, tmp_path):
    folders = [copy_with(model, tmp_path / f"pushed-{number}", f"writer {number}") for number in range(3)]
    (folders[1] / "extra.md").write_text("of the second alone")
    push(folders[0], REPO)
    logs = [tmp_path / f"log-{number}" for number in range(3)]
    pids = [start(["push", str(folder), REPO], log) for folder, log in zip(folders, logs, strict=True)]
    codes = [finish(pid) for pid in pids]
    assert codes == [0, 0, 0], [log.read_text() for log in logs]
    states = [
        {name: file["sha256"] for name, file in commit.items() if name != "extra.md"}
        for commit in hub.repo()["commits"].values()
    ]
    wholes = [{name: digest for name, digest in content(folder).items() if name != "extra.md"} for folder in folders]
    assert all(state in wholes for state in states if state)


def test_captions_that_are_killed_are_whole_lines_each_once(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    world = EmojiWorld()
    for number in range(12):
        world.render(world.scene("test", number, 7)).save(photos / f"{number:02}.png")
    words = ["caption", str(photos), "--json", "--beams", "1", "--batch-size", "1"]
    draw, stopped = random.Random(0), 0
    wanted: list[dict] = []
    for number in range(KILLS + 1):
        log = tmp_path / f"log-{number}"
        pid = start(words, log)
        if number:
            enough = draw.randint(1, 10)
            while not log.exists() or log.read_bytes().count(b"\n{") < enough:
                time.sleep(0.001)
            os.kill(pid, signal.SIGKILL)
        code = finish(pid)
        stopped += code == -signal.SIGKILL
        text = log.read_text(encoding="utf-8")
        lines = [line for line in text.splitlines() if line.startswith("{")]
        assert text.endswith("\n")
        found = [json.loads(line) for line in lines]
        wanted = wanted or found
        assert found == wanted[: len(found)]
    assert len({entry["text"] for entry in wanted}) == 12
    assert stopped >= KILLS // 2
