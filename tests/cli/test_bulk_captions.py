"""Captions of many images are kept, go on after a stop and are the same as those of an undisturbed run."""

import errno
import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from modeling_florenz.cli import main
from modeling_florenz.data.emoji_scenes.world import EmojiWorld
from modeling_florenz.resumable import hold


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, world = tmp_path_factory.mktemp("scenes"), EmojiWorld()
    for index in range(12):
        world.render(world.scene("test", index, 7)).save(folder / f"{index:02}.png")
    return folder


@pytest.fixture
def folder(scenes: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(scenes, tmp_path / "in"))


def caption(*arguments: str | Path) -> int:
    return main(["caption", *map(str, arguments), "--beams", "1"])


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def counted(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.splitlines()[-1]


def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the images that go through the vision tower."""
    from modeling_florenz.inference import block_writer

    seen: list[int] = []
    whole = block_writer.image_tokens

    def count(captioner, pixel_values):
        seen.append(len(pixel_values))
        return whole(captioner, pixel_values)

    monkeypatch.setattr(block_writer, "image_tokens", count)
    return seen


def test_captions_are_kept_in_order_and_made_once(folder, tmp_path, capsys, monkeypatch) -> None:
    output = tmp_path / "captions.jsonl"
    (folder / "copy.png").write_bytes((folder / "00.png").read_bytes())
    seen = calls(monkeypatch)
    assert caption(folder, "--output", output, "--language", "fr,de") == 0
    assert counted(capsys) == "florenz: 13 done, 0 skipped, 0 passed over"
    assert sum(seen) == 12
    found = lines(output)
    assert [(Path(line["image"]).name, line["language"]) for line in found[:3]] == [
        ("00.png", "fr"),
        ("00.png", "de"),
        ("01.png", "fr"),
    ]
    assert found[0]["text"] == found[-2]["text"] and Path(found[-1]["image"]).name == "copy.png"
    assert main(["caption", str(folder / "01.png"), "--beams", "1", "--language", "fr", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == found[2]["text"]
    before = output.read_bytes()
    assert caption(folder, "--output", output, "--language", "fr,de") == 0
    assert output.read_bytes() == before and sum(seen) == 13


def test_only_what_is_new_or_has_changed_is_written_again(folder, tmp_path, monkeypatch) -> None:
    output = tmp_path / "captions.jsonl"
    assert caption(folder, "--output", output) == 0
    first = lines(output)
    (folder / "03.png").write_bytes((folder / "05.png").read_bytes())
    (folder / "06.png").rename(folder / "zz.png")
    seen = calls(monkeypatch)
    assert caption(folder, "--output", output) == 0
    assert not seen  # what they show was captioned under other names
    second = {Path(line["image"]).name: line["text"] for line in lines(output)}
    before = {Path(line["image"]).name: line["text"] for line in first}
    assert second == before | {"03.png": before["05.png"], "zz.png": before["06.png"]}
    assert len(lines(output)) == len(second)


def test_other_settings_are_refused_by_name_and_nothing_is_lost(folder, tmp_path, capsys) -> None:
    output = tmp_path / "captions.jsonl"
    assert caption(folder, "--output", output) == 0
    before = output.read_bytes()
    capsys.readouterr()
    for more, name in (
        (["--language", "de"], "languages"),
        (["--prepend", "x "], "before"),
        (["--task", "detailed_caption"], "tasks"),
        (["--via", "en"], "via"),
    ):
        assert caption(folder, "--output", output, *more) == 2
        assert f"holds captions with other settings ({name}): give another --output, or --overwrite to" in counted(
            capsys
        )
    assert output.read_bytes() == before
    assert caption(folder, "--output", output, "--prepend", "x ", "--overwrite") == 0
    assert [line["text"] for line in lines(output)] == [
        "x " + json.loads(line)["text"] for line in before.splitlines()
    ]
    with hold(output):
        assert caption(folder, "--output", output, "--prepend", "x ") == 2
    assert "another run is writing" in counted(capsys)
    output.with_name("captions.jsonl.settings.json").unlink()
    assert caption(folder, "--output", output) == 2
    assert "which says what made it" in counted(capsys)


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_what_was_skipped_is_recorded_beside_the_captions_until_it_is_fixed(ending, folder, tmp_path, capsys) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install .[bulk]")
    output, failures = tmp_path / f"captions.{ending}", tmp_path / f"captions.{ending}.failures.jsonl"
    whole = (folder / "05.png").read_bytes()
    (folder / "05.png").write_bytes(b"?")
    (folder / "06.heic").write_bytes(b"?")  # passed over, which is not a failure
    for more in ((), ("--overwrite",), ()):
        assert caption(folder, "missing.png", "--output", output, *more) == 1
        error = capsys.readouterr().err
        assert error.endswith(
            f"florenz: {failures} says what was skipped, and why\nflorenz: 11 done, 2 skipped, 1 passed over\n"
        )
        found = {Path(line["image"]).name: line["problem"] for line in lines(failures)}
        assert list(found) == ["05.png", "missing.png"]
        assert all(f"skipped: {problem}\n" in error for problem in found.values())
    (folder / "05.png").write_bytes(whole)
    assert caption(folder, "--output", output) == 0
    assert not failures.exists()


def test_a_run_that_captioned_nothing_binds_the_next_one_to_no_settings(folder, tmp_path) -> None:
    output = tmp_path / "captions.jsonl"
    (folder / "bad.png").write_bytes(b"?")
    assert caption(folder / "bad.png", "--output", output) == 2
    assert caption(folder / "00.png", "--output", output, "--language", "de") == 0
    assert caption(folder / "00.png", "--output", output) == 2
    assert [line["language"] for line in lines(output)] == ["de"]


def test_records_of_someone_else_are_not_replaced(folder, tmp_path, capsys) -> None:
    mine = tmp_path / "captions.jsonl.failures.jsonl"
    mine.write_text("mine\n")
    assert caption(folder, "--output", tmp_path / "captions.jsonl") == 2
    assert f"{mine} is there, but captions.jsonl.settings.json" in capsys.readouterr().err
    assert mine.read_text() == "mine\n"


def test_a_table_holds_what_the_lines_hold(folder, tmp_path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install .[bulk]")
    output = tmp_path / "captions.parquet"
    assert caption(folder, "--output", output, "--via", "en", "--language", "fr") == 0
    assert parquet.read_table(output).to_pylist() == lines(tmp_path / "captions.parquet.jsonl")
    assert parquet.read_table(output)["via"].to_pylist() == ["en"] * 12
    assert caption(output, "--output", output) == 2


def test_text_files_lie_beside_the_images_and_are_kept(folder, capsys) -> None:
    (folder / "01.txt").write_text("mine\n")
    (folder / "02.jpg").write_bytes((folder / "02.png").read_bytes())
    assert caption(folder, "--sidecar", "--append", ", emoji") == 1
    error = capsys.readouterr().err
    assert "02.png would share 02.txt with" in error and "12 done, 1 skipped" in error
    assert (folder / "01.txt").read_text() == "mine\n"
    written = (folder / "00.txt").read_text()
    assert written.startswith("A picture of ") and written.endswith(", emoji\n")
    (folder / "02.jpg").unlink()
    assert caption(folder, "--sidecar", "--language", "de,fr", "--task", "caption,detailed_caption") == 0
    assert sorted(path.name for path in folder.glob("00.*")) == [
        "00.de.caption.txt",
        "00.de.detailed_caption.txt",
        "00.fr.caption.txt",
        "00.fr.detailed_caption.txt",
        "00.png",
        "00.txt",
    ]
    assert caption(folder, "--sidecar", "--overwrite") == 0
    assert (folder / "01.txt").read_text().startswith("A picture of ")


def test_a_full_disk_is_one_sentence_and_keeps_what_was_written(folder, tmp_path, capsys, monkeypatch) -> None:
    from modeling_florenz.resumable import LineFile

    output, append = tmp_path / "captions.jsonl", LineFile.append

    def fill(self, entries) -> list[int]:
        if self.path.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return append(self, entries)

    monkeypatch.setattr(LineFile, "append", fill)
    assert caption(folder, "--output", output) == 2
    assert counted(capsys).startswith(f"florenz: the disk is full, so {output} could not be written to its end: make")
    assert len(lines(output)) == 8
    monkeypatch.undo()
    assert caption(folder, "--output", output) == 0
    assert len(lines(output)) == 12


def test_captions_of_other_pixels_are_not_mixed(folder, tmp_path, capsys) -> None:
    output = tmp_path / "captions.jsonl"
    assert caption(folder, "--output", output, "--fast-decode") == 0
    assert caption(folder, "--output", output) == 2
    assert "holds captions with other settings (fast_decode)" in capsys.readouterr().err


def test_reading_ends_with_the_command(folder) -> None:
    assert caption(folder, "--workers", "3", "--batch-size", "2") == 0
    deadline = time.time() + 60
    while any("florenz-read" in thread.name for thread in threading.enumerate()):
        assert time.time() < deadline
        time.sleep(0.01)


REFUSED = {
    "language de is asked for twice": ["--language", "de,fr,de"],
    "unknown language 'xx'": ["--language", "en,xx"],
    "argument --task: invalid list of": ["--task", "caption,poem"],
    "end its name in .jsonl or .parquet": ["--output", "captions.txt"],
    "--overwrite is for --output and --sidecar": ["--overwrite"],
    "--json is for what is printed": ["--output", "a.jsonl", "--json"],
    "not allowed with argument": ["--output", "a.jsonl", "--sidecar"],
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_makes_no_sense_is_one_sentence(words, folder, capsys) -> None:
    try:
        code = caption(folder, *REFUSED[words])
    except SystemExit as exit_:
        code = exit_.code
    assert code == 2
    output = capsys.readouterr()
    assert words in output.err and output.err.count("\n") == 1 and not output.out


MANY = ["--recursive", "--language", "en,de", "--batch-size", "4", "--beams", "1"]


@pytest.fixture(scope="module")
def undisturbed(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    folder, output = tmp_path_factory.mktemp("many"), tmp_path_factory.mktemp("whole") / "captions.jsonl"
    for copy in range(10):
        for path in scenes.iterdir():
            target = folder / str(copy) / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes() + bytes([copy]))  # behind the end of the picture
    assert main(["caption", str(folder), "--output", str(output), *MANY]) == 0
    assert len(lines(output)) == 240
    return folder, output.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(20))
def test_a_killed_command_ends_with_the_file_of_an_undisturbed_one(moment, undisturbed, tmp_path) -> None:
    folder, whole = undisturbed
    killed = tmp_path / "killed.jsonl"
    arguments = ["caption", str(folder), "--output", str(killed), *MANY]
    enough = random.Random(moment).uniform(0, 0.8) * len(whole)
    command = [sys.executable, "-m", "modeling_florenz.cli", *arguments]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as process:
        while process.poll() is None and not (killed.exists() and killed.stat().st_size > enough):
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    rest = killed.read_bytes()
    assert enough < len(rest) < len(whole)
    assert main(arguments) == 0
    assert killed.read_bytes() == whole
    assert whole.startswith(rest[: rest.rfind(b"\n") + 1])
