"""Lines on the terminal: never glued to a progress bar, coloured only where somebody looks."""

import fcntl
import io
import os
import pty
import struct
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
from tqdm import tqdm

from modeling_florenz import BUNDLED_MODEL
from modeling_florenz.cli import main
from modeling_florenz.cli.lines import paint, print_line


SAMPLE = BUNDLED_MODEL / "sample.png"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def test_there_is_colour_on_a_terminal_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    assert paint("ok", "green", Terminal()) == "\x1b[32mok\x1b[0m"
    assert paint("ok", "green", io.StringIO()) == "ok"
    monkeypatch.setenv("NO_COLOR", "1")
    assert paint("ok", "green", Terminal()) == "ok"
    monkeypatch.setenv("NO_COLOR", "")  # empty counts as not set: no-color.org
    assert paint("ok", "green", Terminal()) != "ok"
    monkeypatch.setenv("TERM", "dumb")
    assert paint("ok", "green", Terminal()) == "ok"


def test_a_line_takes_the_place_of_the_bar_which_comes_back_below(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    with tqdm(total=3, file=screen, ascii=True, ncols=60, mininterval=0) as bar:
        for name in ("a", "b"):
            bar.update()
            print_line(f"{name}\tA picture of dog.", sys.stdout)
    drawn = screen.getvalue()
    for name in ("a", "b"):
        line = f"{name}\tA picture of dog.\n"
        before = drawn[: drawn.index(line)].rpartition("\r")
        assert line in drawn and before[2] == ""  # the line starts where the bar was wiped away
        assert before[0].endswith(" " * 20)


def test_whoever_looks_is_told_that_the_bundled_model_knows_emoji_scenes_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = ["caption", str(SAMPLE), "--beams", "1"]
    assert main(ask) == 0
    assert capsys.readouterr().err == ""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    assert main(ask) == 0
    assert "florenz-tiny knows emoji scenes and nothing else" in screen.getvalue()
    screen.truncate(0)
    assert main([*ask, "--model", "florenz-tiny"]) == 0  # asked for by its name
    assert "emoji scenes" not in screen.getvalue() and "florenz: loading florenz-tiny" in screen.getvalue()


@pytest.mark.slow
def test_captions_keep_their_lines_on_a_terminal_that_shows_a_bar(tmp_path: Path) -> None:
    pyte = pytest.importorskip("pyte")
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / "in" / name).write_bytes(SAMPLE.read_bytes())
    shown = _on_a_terminal(["caption", "in", "--beams", "1", "--batch-size", "1"], tmp_path, pyte)
    captions = [line for line in shown if "A picture of" in line]
    assert len(captions) == 3 and all(line.endswith("A picture of dog, bicycle and palm tree.") for line in captions)
    assert any(line.startswith("100%") for line in shown)
    assert shown[-1] == "florenz: 3 done, 0 skipped, 0 passed over"


def _on_a_terminal(arguments: list[str], folder: Path, pyte: Any) -> list[str]:
    """Run a command on a pseudo-terminal of 24 times 80; return the lines of its screen that are not empty."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execvp(sys.executable, [sys.executable, "-m", "modeling_florenz.cli", *arguments])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    screen = pyte.Screen(80, 24)
    stream = pyte.ByteStream(screen)
    while True:
        try:
            output = os.read(terminal, 65536)
        except OSError:
            break
        if not output:
            break
        stream.feed(output)
    os.waitpid(child, 0)
    return [line.rstrip() for line in screen.display if line.strip()]
