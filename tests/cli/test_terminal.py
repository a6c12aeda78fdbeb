"""What every command owes the terminal: its encoding, closed pipes, Ctrl-C, and silence about the libraries."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from modeling_florenz import BUNDLED_MODEL
from modeling_florenz.cli import main


SAMPLE = BUNDLED_MODEL / "sample.png"
FLORENZ = [sys.executable, "-m", "modeling_florenz.cli"]
RUSSIAN = "Картинка: собака, велосипед и пальма."
ODD_NAME = "caf\udce9.png"  # in Latin 1, as Python reads it


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three pictures, one of them with a name that is not UTF-8."""
    folder = tmp_path / "photos"
    folder.mkdir()
    try:
        for name in ("a.png", ODD_NAME, "z.png"):
            shutil.copy(SAMPLE, folder / name)
    except OSError:
        pytest.skip("this file system takes only names in UTF-8")
    return folder


def run(code: str, **variables: str) -> subprocess.CompletedProcess:
    """Run code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        timeout=600,
        encoding="utf-8",
        env=os.environ | variables,
    )


@pytest.mark.slow
def test_a_terminal_of_another_encoding_loses_no_line(photos: Path) -> None:
    command = [*FLORENZ, "caption", str(photos), "--language", "ru", "--beams", "1", "--json", "--batch-size", "1"]
    done = subprocess.run(
        command,
        capture_output=True,
        timeout=600,
        env=os.environ | {"PYTHONIOENCODING": "cp1252:strict"},
        encoding="utf-8",
    )
    assert done.returncode == 0
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["text"] for record in records] == [RUSSIAN] * 3
    # Whoever reads the line can find the file.
    assert [os.fsencode(record["image"]) for record in records] == sorted(
        os.fsencode(path) for path in photos.iterdir()
    )


def test_odd_names_are_escaped_and_stay_on_their_line(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "a.png").rename(photos / "a\n\x1b[31m.png")
    assert main(["caption", str(photos), "--beams", "1"]) == 0
    names = [line.split("\t")[0].removeprefix(f"{photos}{os.sep}") for line in capsys.readouterr().out.splitlines()]
    assert names == ["a\\n\\x1b[31m.png", "caf\\udce9.png", "z.png"]


def test_an_odd_name_that_is_refused_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["caption", str(tmp_path / ODD_NAME)]) == 2
    assert capsys.readouterr().err.endswith("caf\\udce9.png does not exist\n")


@pytest.mark.parametrize(
    "arguments",
    [("train", "--help"), pytest.param(("caption", str(SAMPLE), "--beams", "1"), marks=pytest.mark.slow)],
)
def test_a_closed_pipe_ends_the_command_quietly_with_the_code_of_the_shell(arguments: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run([*FLORENZ, *arguments], stdout=closed, stderr=subprocess.PIPE, timeout=600)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_output_that_cannot_be_written_is_one_sentence() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*FLORENZ, "train", "--help"], stdout=full, stderr=subprocess.PIPE, timeout=600, text=True
        )
    assert done.returncode == 2
    assert done.stderr.startswith("florenz: ") and done.stderr.endswith("No space left on device\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "module",
    [
        pytest.param("modeling_florenz.inference.captioner", marks=pytest.mark.slow),
        "torch.nn",
        "transformers.utils.logging",
    ],
)
def test_ctrl_c_while_a_library_is_imported_is_exit_code_130(module: str) -> None:
    done = run(
        "import os, signal, sys, wrapt\n"
        "from modeling_florenz.cli.__main__ import run\n"
        f"wrapt.register_post_import_hook(lambda module: os.kill(os.getpid(), signal.SIGINT), {module!r})\n"
        f"sys.argv = ['florenz', 'caption', {str(SAMPLE)!r}]\n"
        "run()\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.slow
def test_ctrl_c_among_the_images_lets_the_command_clean_up_and_is_exit_code_130() -> None:
    done = run(
        "import os, signal, sys, wrapt\n"
        "from modeling_florenz.cli.__main__ import run\n"
        "def interrupted(*paths, **options):\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    finally:\n"
        "        print('cleaned up')\n"
        "def replace(images):\n"
        "    images.find_image_inputs = interrupted\n"
        "wrapt.register_post_import_hook(replace, 'modeling_florenz.data.image_inputs')\n"
        f"sys.argv = ['florenz', 'caption', {str(SAMPLE)!r}]\n"
        "run()\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "cleaned up\n", "")


@pytest.fixture(scope="module")
def many_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write more different images than are captioned in the time of a test."""
    folder = tmp_path_factory.mktemp("images")
    for number in range(1000):
        Image.new("RGB", (32, 32), (number % 256, number // 256, 99)).save(folder / f"{number}.png")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(20))
def test_ctrl_c_at_any_moment_is_exit_code_130(moment: int, many_images: Path) -> None:
    command = [*FLORENZ, "caption", str(many_images)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        time.sleep(0.5 + moment / 2)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        errors = process.stderr.read()
    assert process.returncode == 130
    assert b"Traceback" not in errors and b"Exception" not in errors


NOISE = """
import argparse, contextlib, io, logging, sys, warnings
from PIL import Image
from modeling_florenz.cli.terminal import run_command

def noisy(arguments):
    warnings.warn("the library is old", DeprecationWarning)
    logging.getLogger("torchao").warning("the library lacks a kernel")
    import torch
    logging.getLogger("torch.utils._pytree").warning("the library will be an error")
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "TIFF", compression="tiff_deflate")
    damaged = bytearray(file.getvalue())
    start = damaged.index(b"\\x78", 8) + 2
    damaged[start : start + 8] = bytes(8)
    with contextlib.suppress(OSError):
        Image.open(io.BytesIO(damaged)).load()
    logging.getLogger("modeling_florenz.training").warning("an image was skipped")
    return 0

parser = argparse.ArgumentParser()
parser.add_argument("--verbose", action="store_true")
parser.set_defaults(run=noisy, command="caption")
sys.exit(run_command(parser, sys.argv[1:]))
"""


def test_libraries_are_heard_only_if_that_is_asked_for() -> None:
    quiet = subprocess.run([sys.executable, "-c", NOISE], capture_output=True, text=True, timeout=600)
    assert (quiet.returncode, quiet.stderr) == (0, "florenz: an image was skipped\n")
    loud = subprocess.run([sys.executable, "-c", NOISE, "--verbose"], capture_output=True, text=True, timeout=600)
    assert loud.returncode == 0
    for words in ("the library is old", "lacks a kernel", "will be an error", "ZIPDecode", "an image was skipped"):
        assert words in loud.stderr


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=["python", "gpu", "cpu"],
)
def test_too_little_memory_is_one_sentence(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*given: object, **named: object) -> None:
        raise error

    monkeypatch.setattr("modeling_florenz.inference.captioner.Captioner.translate", fail)
    assert main(["translate", str(SAMPLE), "--text", "A dog.", "--language", "de"]) == 2
    assert capsys.readouterr().err.startswith("florenz: the memory is not enough: take a smaller model, ")


def test_other_errors_of_torch_are_not_taken_for_too_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object, **named: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr("modeling_florenz.inference.captioner.Captioner.translate", fail)
    with pytest.raises(RuntimeError, match="shapes"):
        main(["translate", str(SAMPLE), "--text", "A dog.", "--language", "de"])


def test_a_stop_with_captions_that_are_kept_says_that_the_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("modeling_florenz.inference.bulk.caption_in_bulk", stop)
    assert main(["caption", str(SAMPLE), "--output", str(tmp_path / "captions.jsonl")]) == 130
    assert capsys.readouterr().err == "florenz: stopped; the same command goes on from here\n"
    assert main(["caption", str(SAMPLE)]) == 130
    assert capsys.readouterr().err == ""


def test_a_warning_of_the_package_is_shown_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    text = "dog " * 600
    assert main(["translate", str(SAMPLE), "--text", text, "--language", "de", "--beams", "1"]) == 0
    assert [line.startswith("florenz: a prompt of ") for line in capsys.readouterr().err.splitlines()] == [True]
