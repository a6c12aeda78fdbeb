"""Finding image files: what people put into a folder, by the names they know it by, and nothing outside it."""

import os
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from modeling_florenz.data.files import find_image
from modeling_florenz.data.images import find_images, open_image


COMPOSED, APART = (unicodedata.normalize(form, "lö.png") for form in ("NFC", "NFD"))


def paint(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), "red").save(path, "PNG")
    return path


# Folders


def test_images_of_a_folder_come_by_name_and_files_as_they_are(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpeg", "c.webp"):
        paint(tmp_path / name)
    (tmp_path / "a.txt").write_text("A dog.")
    (tmp_path / "d.png").mkdir()
    found = find_images([tmp_path / "none.png", tmp_path])
    assert [path.name for path in found.images] == ["none.png", "a.jpeg", "b.PNG", "c.webp"]
    assert not found.passed_over and not found.refused


def test_what_the_system_puts_into_folders_is_not_an_image(tmp_path: Path) -> None:
    paint(tmp_path / "a.png")
    for name in ("._a.png", ".hidden.jpg", ".DS_Store", "._b.heic"):
        (tmp_path / name).write_bytes(b"\x00\x05\x16\x07")
    found = find_images([tmp_path])
    assert [path.name for path in found.images] == ["a.png"] and not found.passed_over


@pytest.mark.parametrize("ending", ["heic", "HEIF", "jp2", "jxl", "psd", "svg", "cr2", "dng", "ico", "tga", "exr"])
def test_pictures_that_are_not_read_are_named(ending: str, tmp_path: Path) -> None:
    paint(tmp_path / "a.png")
    (tmp_path / f"b.{ending}").write_bytes(b"?")
    found = find_images([tmp_path])
    assert [path.name for path in found.passed_over] == [f"b.{ending}"] and len(found.images) == 1
    (tmp_path / "a.png").unlink()
    [sentence] = find_images([tmp_path]).refused
    assert f"holds no image that can be read, only .{ending.lower()}" in sentence


def test_links_out_of_a_folder_are_refused_and_links_within_are_not(tmp_path: Path) -> None:
    outside = paint(tmp_path / "outside" / "secret.png")
    folder = paint(tmp_path / "folder" / "a.png").parent
    (folder / "b.png").symlink_to("a.png")
    (folder / "c.png").symlink_to(outside)
    (folder / "d.png").symlink_to("../outside/secret.png")
    (folder / "e.png").symlink_to("nowhere.png")
    found = find_images([folder])
    assert [path.name for path in found.images] == ["a.png", "b.png", "e.png"]
    assert found.refused == [
        f"{folder / name} is a link out of its folder: put the file itself there" for name in ("c.png", "d.png")
    ]
    linked = tmp_path / "linked"
    linked.symlink_to(folder)
    assert len(find_images([linked]).images) == 3
    with pytest.raises(ValueError, match=r"e\.png does not exist"):
        open_image(folder / "e.png")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    paint(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    assert [path.name for path in find_images([tmp_path]).images] == ["a.png"]


def test_an_empty_folder_among_others_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    found = find_images([paint(tmp_path / "a.png"), tmp_path / "empty"])
    assert len(found.images) == 1
    assert found.refused == [f"the folder {tmp_path / 'empty'} holds no image that can be read"]


# Names


@pytest.mark.parametrize(
    ("there", "asked"),
    [
        (COMPOSED, APART),
        (APART, COMPOSED),
        ("a.PNG", "a.png"),
        ("Ä.jpg", "ä.JPG"),
        ("straße.png", "STRASSE.png"),
        (f"Möwe/{APART}", f"möwe/{COMPOSED}"),
        ("more/a.png", "more\\a.png"),
    ],
)
def test_names_of_other_systems_are_found(there: str, asked: str, tmp_path: Path) -> None:
    paint(tmp_path / unicodedata.normalize("NFD", there) if there == APART else tmp_path / there)
    assert not (tmp_path / asked).exists()  # on a file system that keeps names apart
    assert find_image([tmp_path], asked, "line 1").samefile(tmp_path / there)


def test_the_exact_name_comes_before_those_like_it(tmp_path: Path) -> None:
    for name in ("a.png", "A.png"):
        paint(tmp_path / name)
    assert find_image([tmp_path], "A.png", "line 1").name == "A.png"
    with pytest.raises(ValueError, match=r"^line 1: .* has no 'a\.PNG', but 'A\.png' and 'a\.png': name one of them"):
        find_image([tmp_path], "a.PNG", "line 1")


def test_a_file_that_came_later_is_found(tmp_path: Path) -> None:
    assert find_image([tmp_path], "a.PNG", "line 1") == tmp_path / "a.PNG"
    paint(tmp_path / "a.png")
    os.utime(tmp_path, (1, 1))
    assert find_image([tmp_path], "a.PNG", "line 1").name == "a.png"


@pytest.mark.parametrize(
    "name", ["", "../a.png", "/etc/a.png", "b/../../a.png", "..\\a.png", "\\etc\\a.png", "a\0.png"]
)
def test_names_that_lead_out_are_refused(name: str, tmp_path: Path) -> None:
    paint(tmp_path / "a.png")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match=r"^line 1: the image .* is not inside .*folder"):
        find_image([tmp_path / "folder"], name, "line 1")


def test_links_that_lead_out_are_refused(tmp_path: Path) -> None:
    outside = paint(tmp_path / "outside" / "a.png")
    folder = paint(tmp_path / "folder" / "b.png").parent
    (folder / "link.png").symlink_to(outside)
    (folder / "more").symlink_to(outside.parent)
    (folder / "inside.png").symlink_to("b.png")
    for name in ("link.png", "LINK.png", "more/a.png"):
        with pytest.raises(ValueError, match=r"^line 1: the image .* is a link that leads out of .*folder"):
            find_image([folder], name, "line 1")
    assert find_image([folder], "inside.png", "line 1").exists()


def test_a_name_that_is_too_long_is_not_there(tmp_path: Path) -> None:
    assert find_image([tmp_path], "a" * 300 + ".png", "line 1").name.startswith("aaa")


def test_a_file_asked_for_by_a_name_like_it_is_told(tmp_path: Path) -> None:
    paint(tmp_path / APART)
    with pytest.raises(ValueError, match=f"{COMPOSED} does not exist, but .*{APART} does: the names differ in letter"):
        open_image(tmp_path / COMPOSED)


# Folders of captions


datasets = pytest.importorskip("datasets")

from modeling_florenz.data.folder import load_folder  # noqa: E402


def test_captions_find_images_named_by_another_system(tmp_path: Path) -> None:
    paint(tmp_path / COMPOSED)
    (tmp_path / "captions.jsonl").write_text(f'{{"image": "{APART}", "text": "Ein Löwe."}}\n', encoding="utf-8")
    assert load_folder(tmp_path, "caption", "de")[0]["image"].getpixel((0, 0)) == (255, 0, 0)


def test_a_text_beside_an_image_is_found_whatever_its_letters(tmp_path: Path) -> None:
    paint(tmp_path / COMPOSED)
    (tmp_path / unicodedata.normalize("NFD", "Lö.TXT")).write_text("Ein Löwe.", encoding="utf-8")
    assert load_folder(tmp_path, "caption", "de")["target"][:] == ["Ein Löwe."]


def test_companions_of_macos_need_no_text_and_unread_pictures_are_told(tmp_path: Path) -> None:
    paint(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("Hund.")
    (tmp_path / "._a.png").write_bytes(b"\x00\x05\x16\x07")
    (tmp_path / "b.heic").write_bytes(b"?")
    with pytest.warns(UserWarning, match=r"1 images of kinds that are not read are passed over.*: b\.heic"):
        assert load_folder(tmp_path, "caption", "de")["key"][:] == ["a.png"]


def test_a_name_that_is_not_utf8_is_one_sentence(tmp_path: Path) -> None:
    paint(tmp_path / os.fsdecode(b"caf\xe9.png"))
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("Kaffee.")
    with pytest.raises(ValueError, match=r"the name of the image .*caf\\udce9\.png is not UTF-8"):
        load_folder(tmp_path, "caption", "de")


def test_a_link_out_of_a_folder_of_captions_is_refused(tmp_path: Path) -> None:
    outside = paint(tmp_path / "outside" / "secret.png")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.png").symlink_to(outside)
    (folder / "a.txt").write_text("Hund.")
    with pytest.raises(ValueError, match=r"a\.png is a link out of its folder"):
        load_folder(folder, "caption", "de")
    (folder / "captions.jsonl").write_text('{"image": "a.png", "text": "Hund."}\n')
    with pytest.raises(ValueError, match="line 1: the image 'a.png' is a link that leads out"):
        load_folder(folder, "caption", "de")


def test_rows_show_what_is_laid_over_white_and_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGBA", (8, 6), (0, 0, 0, 0)).save(tmp_path / "a.png", exif=exif)
    (tmp_path / "a.txt").write_text("Nichts.")
    image = load_folder(tmp_path, "caption", "de")[0]["image"]
    assert (image.mode, image.size, image.getpixel((0, 0))) == ("RGB", (6, 8), (255, 255, 255))
