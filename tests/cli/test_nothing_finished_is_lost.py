"""Captions that were made, and files that the user has, survive every way of naming images and outputs."""

import io
import json
import os
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from modeling_florenz.cli import main
from modeling_florenz.data.emoji_scenes.world import EmojiWorld
from modeling_florenz.inference.kept_captions import CaptionsFile, Wrapped


WORLD = EmojiWorld()


def picture(number: int, format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    WORLD.render(WORLD.scene("test", number, 7)).save(buffer, format)
    return buffer.getvalue()


def caption(*arguments: str | Path) -> int:
    return main(["caption", *map(str, arguments), "--beams", "1"])


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def names(path: Path) -> list[str]:
    return [line["image"] for line in lines(path)]


def send(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_images_of_one_name_in_two_folders_keep_their_captions(tmp_path, monkeypatch) -> None:
    output = tmp_path / "captions.jsonl"
    for number, place in enumerate(("one", "two")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a.png").write_bytes(picture(number))
        monkeypatch.chdir(tmp_path / place)
        assert caption("a.png", "--output", output) == 0
    assert names(output) == ["a.png", "../two/a.png"]
    before = output.read_bytes()
    for place in ("one", "two"):
        monkeypatch.chdir(tmp_path / place)
        assert caption("a.png", "--output", output) == 0
    assert output.read_bytes() == before
    Path("a.png").write_bytes(picture(2))  # only what was said of this one is out of date
    assert caption("a.png", "--output", output) == 0
    first, second = lines(output)
    assert (first["image"], second["image"]) == ("a.png", "../two/a.png")
    assert first == json.loads(before.splitlines()[0]) and second["content"] not in before.decode()


def test_names_are_relative_to_a_folder_that_moves_with_the_captions(tmp_path, monkeypatch) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a.png").write_bytes(picture(0))
    monkeypatch.chdir(tmp_path / "old")
    assert caption("a.png", "--output", "captions.jsonl") == 0
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").rename(tmp_path / "new")
    before = (tmp_path / "new" / "captions.jsonl").read_bytes()
    monkeypatch.chdir(tmp_path / "new")
    assert caption("a.png", "--output", "captions.jsonl") == 0
    assert Path("captions.jsonl").read_bytes() == before
    (tmp_path / "else" / "where").mkdir(parents=True)
    for name in ("captions.jsonl", "captions.jsonl.settings.json"):  # without the images
        Path(name).rename(tmp_path / "else" / "where" / name)
    assert caption("a.png", "--output", tmp_path / "else" / "where" / "captions.jsonl") == 0
    assert (tmp_path / "else" / "where" / "captions.jsonl").read_bytes() == before


def test_images_that_came_through_a_pipe_one_after_another_keep_their_captions(tmp_path, monkeypatch) -> None:
    output = tmp_path / "captions.jsonl"
    for number in range(3):
        send(monkeypatch, picture(number))
        assert caption("-", "--output", output) == 0
    assert len({line["content"] for line in lines(output)}) == 3


def test_two_files_of_one_name_in_an_archive_keep_their_captions(tmp_path) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as file:
        for number in range(2):
            entry = tarfile.TarInfo("a.png")
            entry.size = len(picture(number))
            file.addfile(entry, io.BytesIO(picture(number)))
    for _ in range(2):
        assert caption(tmp_path / "t.tar", "--output", tmp_path / "captions.jsonl") == 0
        assert len({line["content"] for line in lines(tmp_path / "captions.jsonl")}) == 2


def test_what_a_stopped_run_left_of_a_changed_image_is_left_out_by_the_next(tmp_path, monkeypatch) -> None:
    image, output = tmp_path / "a.png", tmp_path / "captions.jsonl"
    image.write_bytes(picture(0))
    assert caption(image, "--output", output) == 0
    image.write_bytes(picture(1))
    with monkeypatch.context() as patch:
        patch.setattr(CaptionsFile, "finish", lambda self: None)  # killed just before
        assert caption(image, "--output", output) == 0
    assert len(lines(output)) == 2
    assert caption(image, "--output", output) == 0
    assert len(lines(output)) == 1


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_file_that_this_command_did_not_make_is_not_replaced(ending, tmp_path, capsys) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install .[bulk]")
    (tmp_path / "a.png").write_bytes(picture(0))
    output = tmp_path / f"mine.{ending}"
    output.write_bytes(b"mine\n")
    assert caption(tmp_path / "a.png", "--output", output) == 2
    assert f"{output} is there, but {output.name}.settings.json, which says what made it" in capsys.readouterr().err
    assert output.read_bytes() == b"mine\n"


@pytest.mark.parametrize("more", [(), ("--overwrite",)])
def test_a_picture_is_not_replaced_by_its_own_caption(more, tmp_path, capsys) -> None:
    image = tmp_path / "pic.txt"
    image.write_bytes(picture(0))
    assert caption(image, "--sidecar", *more) == 2
    assert "pic.txt, where the caption of" in capsys.readouterr().err
    assert image.read_bytes() == picture(0)


def test_nor_by_that_of_another_one(tmp_path, capsys) -> None:
    (tmp_path / "a.png").write_bytes(picture(0))
    (tmp_path / "a.txt").write_bytes(picture(1))
    assert caption(tmp_path / "a.png", tmp_path / "a.txt", "--sidecar", "--overwrite") == 2
    assert capsys.readouterr().err.count("is not a text: rename it") == 1
    assert (tmp_path / "a.txt").read_bytes() == picture(1)


def test_an_image_that_is_gone_is_not_done(tmp_path, capsys) -> None:
    (tmp_path / "gone.txt").write_text("mine")
    assert caption(tmp_path / "gone.png", "--sidecar") == 2
    assert "gone.png does not exist" in capsys.readouterr().err


def test_names_of_all_lengths_get_their_texts_and_one_that_is_too_long_stops_no_other(tmp_path, capsys) -> None:
    for name in ("a.png", f"{'m' * 251}.png", f"{'z' * 251}.jpg"):
        (tmp_path / name).write_bytes(picture(len(name)))
    assert caption(tmp_path, "--sidecar") == 0
    assert len(list(tmp_path.glob("*.txt"))) == 3
    assert caption(tmp_path, "--sidecar", "--language", "de,fr") == 1
    error = capsys.readouterr().err
    assert error.count("could not be written beside it: File name too long") == 2
    assert (tmp_path / "a.de.txt").exists() and (tmp_path / "a.fr.txt").exists()


def test_a_folder_that_cannot_be_written_stops_no_other(tmp_path, capsys, monkeypatch) -> None:
    from modeling_florenz.inference import sidecars

    whole = sidecars.write_text

    def write(path: Path, text: str) -> None:
        if path.parent.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        whole(path, text)

    monkeypatch.setattr(sidecars, "write_text", write)
    for number, place in enumerate(("closed", "open")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a.png").write_bytes(picture(number))
    assert caption(tmp_path, "--recursive", "--sidecar") == 1
    error = capsys.readouterr().err
    assert "could not be written beside it: Permission denied" in error and "1 done, 1 skipped" in error
    assert (tmp_path / "open" / "a.txt").exists()


def test_a_name_that_is_no_unicode_stands_in_the_table(tmp_path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install .[bulk]")
    image = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")
    Path(image).write_bytes(picture(0))
    assert caption(image, "--output", tmp_path / "captions.parquet") == 0
    [row] = parquet.read_table(tmp_path / "captions.parquet").to_pylist()
    assert row["image"].endswith("caf\\udce9.png") and row["text"]


@pytest.mark.parametrize(
    "change",
    [lambda line: line.pop("text"), lambda line: line.update(text=5), lambda line: line.update(language="xx")],
)
def test_a_line_that_lacks_its_text_is_named(change, tmp_path, capsys) -> None:
    (tmp_path / "a.png").write_bytes(picture(0))
    output = tmp_path / "captions.jsonl"
    assert caption(tmp_path / "a.png", "--output", output) == 0
    [line] = lines(output)
    change(line)
    output.write_text(json.dumps(line) + "\n")
    capsys.readouterr()
    assert caption(tmp_path / "a.png", "--output", output) == 2
    assert capsys.readouterr().err.endswith(
        "captions.jsonl, line 1 is broken: remove that line, and what it held is made again\n"
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.png/captions.jsonl", "and that is not a folder"),
        ("folder.jsonl", "which is a folder: name a file in it"),
    ],
)
def test_an_output_that_cannot_be_is_one_sentence(name, words, tmp_path, capsys) -> None:
    (tmp_path / "a.png").write_bytes(picture(0))
    (tmp_path / "folder.jsonl").mkdir()
    assert caption(tmp_path / "a.png", "--output", tmp_path / name) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1 and "Errno" not in error


def test_captions_that_are_kept_take_little_memory(tmp_path) -> None:
    keys = [("caption", language) for language in ("de", "en", "es", "fr", "ru", "zh")]
    path, count = tmp_path / "captions.jsonl", 10_000
    entries = (
        {
            "image": f"photos/{number:06}.jpg",
            "content": f"{number:032x}",
            "task": task,
            "language": language,
            "text": "A picture of a cat beside a dog under a tree in the sun. " * 2,
            "bytes": 100_000,
        }
        for number in range(count)
        for task, language in keys
    )
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    tracemalloc.start()
    kept = CaptionsFile(path, tmp_path / "failures.jsonl", keys, Wrapped(), None, Path.cwd())
    held = tracemalloc.get_traced_memory()[0] / count
    tracemalloc.stop()
    assert held < 700  # bytes an image; the captions themselves take 1,300
    assert kept.captions_of(f"{7:032x}")["caption", "ru"].startswith("A picture of a cat")
    assert kept.captions_of("0") is None
