"""A run goes on with the data that it began with, and with no other."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from small_recipes import small_recipe, write_photos

from modeling_florenz.training.data_fingerprint import first_difference
from modeling_florenz.training.recipe import parse_recipe
from modeling_florenz.training.recipe_data import RecipeData, load_data


def _load(folder: Path) -> RecipeData:
    data = [{"dataset": "folder", "folder": "photos", "languages": ["en"]}]
    return load_data(parse_recipe(small_recipe(folder / "run", train_data=data, data_folder=str(folder))))


def _lines(folder: Path) -> list[str]:
    return (folder / "captions.jsonl").read_text(encoding="utf-8").splitlines()


def _write(folder: Path, lines: list[str]) -> None:
    (folder / "captions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _caption(folder: Path) -> None:
    lines = _lines(folder)
    _write(folder, [*lines[:3], lines[3].replace("dog", "cat"), *lines[4:]])


def _image(folder: Path) -> None:
    Image.new("RGB", (40, 30), (61, 90, 120)).save(folder / "2.png")


def _order(folder: Path) -> None:
    lines = _lines(folder)
    _write(folder, [lines[0], lines[2], lines[1], *lines[3:]])


def _fewer(folder: Path) -> None:
    _write(folder, _lines(folder)[:-1])


CHANGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a caption": (_caption, "train_data 1: folder photos, en: a text of row 4 changed"),
    "an image": (_image, "train_data 1: folder photos, en: the image of row 3 changed"),
    "the order": (_order, "train_data 1: folder photos, en has its rows in another order from row 2 on"),
    "a row": (_fewer, "train_data 1: folder photos, en had 6 rows and has 5"),
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_changed_data_is_refused_with_the_first_difference(change: str, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos")
    first = _load(tmp_path).fingerprint
    assert _load(tmp_path).fingerprint == first
    make, words = CHANGES[change]
    make(photos)
    with pytest.raises(ValueError, match="holds a run on other data") as error:
        _load(tmp_path)
    assert words in str(error.value)


def test_data_that_only_moved_is_the_same(tmp_path: Path) -> None:
    write_photos(tmp_path / "a" / "photos")
    first = _load(tmp_path / "a").fingerprint
    (tmp_path / "a").rename(tmp_path / "b")
    assert _load(tmp_path / "b").fingerprint == first


def test_parts_that_come_and_go_are_named() -> None:
    one, other = {"1: a": {"rows": 1}}, {"1: a": {"rows": 1}, "2: b": {"rows": 1}}
    assert first_difference(one, other) == "2: b is new"
    assert first_difference(other, one) == "2: b is no longer there"
    assert first_difference(one, one) is None


def test_rows_are_counted_as_they_say_and_not_as_the_recipe_does(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos")
    rows = [json.loads(line) for line in _lines(photos)]
    codes = ("en", "de", "de", "fr", "fr", "fr")
    _write(photos, [json.dumps({**row, "language": code}) for row, code in zip(rows, codes, strict=True)])
    [part] = _load(tmp_path).loaded["train"]
    assert part == {
        "dataset": "folder photos",
        "split": None,
        "rows": {"caption/de": 2, "caption/en": 1, "caption/fr": 3},
    }
