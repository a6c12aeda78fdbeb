"""Images come from files, folders, patterns, lists, tables and archives, in order, and what is odd is reported."""

import io
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from modeling_florenz.data.image_inputs import ImageInput, find_image_inputs


pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install .[bulk]")
pytest.importorskip("pyarrow.parquet")


def png(colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.png", "a.png", "deep/c.png", "deep/er/d.jpg", ".hidden/e.png", "deep/.f.png", "notes.txt"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(png())
    return tmp_path / "in"


def names(images: Sequence[ImageInput], folder: Path) -> list[str]:
    return [str(Path(image.name).relative_to(folder)) for image in images]


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as file:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    return path


def test_folders_are_searched_to_the_ground_only_if_that_is_asked_for(folder: Path) -> None:
    assert names(list(find_image_inputs([str(folder)])), folder) == ["a.png", "b.png"]
    found = list(find_image_inputs([str(folder)], recursive=True))
    assert names(found, folder) == ["a.png", "b.png", "deep/c.png", "deep/er/d.jpg"]


def test_a_circle_of_links_is_not_followed(folder: Path) -> None:
    (folder / "deep" / "circle").symlink_to(folder)
    found = list(find_image_inputs([str(folder)], recursive=True))
    assert names(found, folder) == ["a.png", "b.png", "deep/c.png", "deep/er/d.jpg"]


def test_patterns_and_lists_name_files(folder: Path) -> None:
    assert names(list(find_image_inputs([f"{folder}/*.png"])), folder) == ["a.png", "b.png"]
    assert names(list(find_image_inputs([f"{folder}/**/*.jpg"])), folder) == ["deep/er/d.jpg"]
    listed = io.BytesIO(f"{folder}/b.png\n\n{folder}/deep/c.png\r\n".encode())
    assert names(list(find_image_inputs(["-"], stream=listed)), folder) == ["b.png", "deep/c.png"]
    [none] = find_image_inputs([f"{folder}/*.webp"])
    assert none.problem == f"{folder}/*.webp matches no file"


def test_patterns_give_each_file_once_and_follow_no_links(folder: Path) -> None:
    (folder / "deep" / "circle").symlink_to(folder)
    everything = ["a.png", "b.png", "deep/c.png", "deep/er/d.jpg"]
    for pattern in ("**/*.png", "**/*.jpg"):
        found = names(list(find_image_inputs([f"{folder}/{pattern}"])), folder)
        assert found == [name for name in everything if name.endswith(pattern[-4:])]
    for pattern in ("**", "**/*"):
        found = names(list(find_image_inputs([f"{folder}/{pattern}"])), folder)
        assert found == [*everything, "notes.txt"]
    assert names(list(find_image_inputs([f"{folder}/**/er"])), folder) == ["deep/er/d.jpg"]


@pytest.mark.parametrize("given", ["", "/**/*.png"])
def test_a_folder_that_cannot_be_read_is_named(given: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = os.scandir

    def closed(place: str = ".") -> object:
        if str(place).endswith("er"):
            raise PermissionError(13, "Permission denied", str(place))
        return scan(place)

    monkeypatch.setattr(os, "scandir", closed)
    *found, problem = find_image_inputs([f"{folder}{given}"], recursive=True)
    assert names(found, folder) == ["a.png", "b.png", "deep/c.png"]
    assert problem.problem == f"the folder {folder}/deep/er could not be read: Permission denied"


def test_a_file_that_never_ends_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("modeling_florenz.data.image_inputs._MAX_BYTES", 100)
    (tmp_path / "large.png").write_bytes(b"?" * 101)
    for name in (tmp_path / "large.png", Path("/dev/zero")):
        [found] = find_image_inputs([str(name)])
        with pytest.raises(ValueError, match=f"{name} has more than the 100 bytes that are allowed"):
            found.read()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF"])
def test_an_image_on_a_stream_is_told_from_a_list(kind: str) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((40, 30), 90).convert("RGB").save(buffer, kind)
    [found] = find_image_inputs(["-"], stream=io.BytesIO(buffer.getvalue()))
    assert (found.name, found.problem, found.read()) == ("standard input", None, buffer.getvalue())


@pytest.mark.parametrize(
    "name",
    [
        "BMW.png",
        "GIF.png",
        "II.png",
        "PNG.png",
        "P6.png",
        "P1 2024.png",
        "P3 holiday",
        "RIFF of WEBP.png",
        "caf\udce9.png",
    ],
)
def test_lists_may_begin_as_images_do(name: str) -> None:
    [found] = find_image_inputs(["-"], stream=io.BytesIO(os.fsencode(name)))
    assert found.name == name and found.path == Path(name)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "standard input is empty: send an image, or a path a line"),
        (b"\n\n", "standard input names no image: send an image, or a path a line"),
        (b"a.png\0b.png\0", "standard input holds neither an image nor a path in line 1"),
        (b"\x7fELF\0\0", "standard input holds neither an image nor a path in line 1"),
    ],
)
def test_what_is_neither_an_image_nor_a_list_is_one_sentence(content: bytes, problem: str) -> None:
    assert [image.problem for image in find_image_inputs(["-"], stream=io.BytesIO(content))] == [problem]


def test_a_list_is_read_as_it_comes(folder: Path) -> None:
    read, write = os.pipe()
    with os.fdopen(read, "rb") as stream, os.fdopen(write, "wb") as sender:
        sender.write(f"{folder}/a.png\n".encode())
        sender.flush()
        found = find_image_inputs(["-"], stream=stream)
        assert next(found).path == folder / "a.png"  # the sender is not done
        sender.write(b"none.png\n")
        sender.close()
        assert [image.name for image in found] == ["none.png"]


def test_an_address_is_not_taken_for_a_pattern() -> None:
    [found] = find_image_inputs(["https://example.org/photo.jpg?size=[1]"])
    assert found.name == "https://example.org/photo.jpg?size=[1]" and found.problem is None


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a[1].png"
    path.write_bytes(png())
    [found] = find_image_inputs([str(path)])
    assert found.path == path and found.problem is None


def test_tables_hold_bytes_or_paths(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    rows = [{"bytes": png("red"), "path": None}, {"bytes": None, "path": str(tmp_path / "a.png")}, None]
    pyarrow.parquet.write_table(pyarrow.table({"image": rows, "id": [1, 2, 3]}), path)
    first, second, third = find_image_inputs([str(path)])
    assert (first.name, first.read()) == (f"{path}#0", png("red"))
    assert second.path == tmp_path / "a.png"
    assert third.problem == f"{path}#2 holds neither the bytes nor the path of an image"
    [wrong] = find_image_inputs([str(path)], column="picture")
    assert wrong.problem == f"{path} has no column 'picture', only image, id: name one with --image-column"
    pyarrow.parquet.write_table(pyarrow.table({"image": pyarrow.array([], pyarrow.string())}), tmp_path / "e.parquet")
    assert [image.problem for image in find_image_inputs([f"{tmp_path}/e.parquet"])] == [
        f"{tmp_path}/e.parquet has no row"
    ]
    path.write_bytes(path.read_bytes()[:100])
    [cut] = find_image_inputs([str(path)])
    assert cut.problem is not None and "could not be read as a parquet table" in cut.problem


def test_archives_give_their_images_and_say_where_they_are_cut(tmp_path: Path) -> None:
    path = archive(tmp_path / "t.tar", {"1.png": png(), "1.txt": b"red", "._1.png": b"?", "2.png": png("blue")})
    found = list(find_image_inputs([str(path)]))
    assert [(image.name, image.read()) for image in found] == [
        (f"{path}#1.png", png()),
        (f"{path}#2.png", png("blue")),
    ]
    for end in (560, 2200):  # within the first image; within the header of the second
        cut = tmp_path / "cut.tar"
        cut.write_bytes(path.read_bytes()[:end])
        *whole, last = find_image_inputs([str(cut)])
        assert len(whole) == (end > 1000)
        assert last.problem is not None and f"{cut} could not be read to its end" in last.problem
    empty = archive(tmp_path / "empty.tar", {"1.txt": b"red"})
    assert [image.problem for image in find_image_inputs([str(empty)])] == [f"{empty} holds no image that can be read"]
