"""Load a folder of your own: images with one file of captions, or with a text file beside each."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets import Dataset

from .columns import Row, build_dataset
from .files import field, find_alike, find_image, read_json_lines, read_text
from .images import folder_images


_IMAGE, _TEXT, _OPTIONAL = ("image", "file_name"), ("text", "caption"), ("language", "source", "task")


def load_folder(folder: str | Path, task: str, language: str, stand_in: bool = False) -> Dataset:
    """Load captions or translations from `captions.jsonl` or `captions.csv`, or else from one `.txt` per image.

    Args:
        folder: holds the images. The file names them, relative to the folder, in the column `image` or `file_name`,
            with what the model should write in `text` or `caption`; optional columns are `language`, `source` (the
            English text to translate) and `task`. Without such a file, `a.txt` holds the text for `a.jpg`.
        task: caption, detailed_caption, more_detailed_caption or translate, for rows that name none.
        language: ISO 639-1 code, for rows that name none.
        stand_in: show a grey picture where an image named in the file is missing.

    Raises:
        ValueError: there is nothing to load, a column is unknown, a row is broken, an image or a `.txt` is missing.

    Example:

    ```python
    >>> load_folder("photos", task="caption", language="de")[0]["target"]  # doctest: +SKIP
    ```
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder: give the one with the images")
    files = [path for path in (folder / "captions.jsonl", folder / "captions.csv") if path.exists()]
    if len(files) == 2:
        raise ValueError(f"{folder} holds both captions.jsonl and captions.csv: keep one of them")
    if not files:
        return build_dataset(_text_rows(folder, task, language), folder)
    return build_dataset(_file_rows(folder, files[0], task, language), files[0], stand_in)


def _text_rows(folder: Path, task: str, language: str) -> Iterator[Row]:
    for image in folder_images(folder):
        path = find_alike(folder, image.with_suffix(".txt").name) or image.with_suffix(".txt")
        text = read_text(path, f"write the text for {image.name} into it, or all texts into captions.jsonl").strip()
        yield Row(image, task, language, [text], image.name, str(path))


def _file_rows(folder: Path, path: Path, task: str, language: str) -> Iterator[Row]:
    records = _read_csv(path) if path.suffix == ".csv" else read_json_lines(path)
    for number, (where, record) in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise ValueError(f"{where} is not an object: write lines such as {{'image': 'a.jpg', 'text': 'A dog.'}}")
        # A misspelt column would be ignored, and its rows taken for something else.
        if unknown := [name for name in record if name not in (*_IMAGE, *_TEXT, *_OPTIONAL)]:
            raise ValueError(
                f"{where} has the column {unknown[0]!r}: only {', '.join((*_IMAGE, *_TEXT, *_OPTIONAL))} are known"
            )
        image, text = (_one_of(names, record, where) for names in (_IMAGE, _TEXT))
        given = {name: field(record, name, str, where) for name in _OPTIONAL if record.get(name) not in (None, "")}
        yield Row(
            find_image([folder], image, where),
            given.get("task", task),
            given.get("language", language),
            [text.strip()],
            f"{image}#{number}",
            where,
            source=given.get("source", "").strip(),
        )


def _one_of(names: tuple[str, str], record: dict[str, Any], where: str) -> str:
    given = [name for name in names if record.get(name) is not None]
    if len(given) != 1:
        raise ValueError(f"{where} needs one of the columns {' and '.join(names)}, and has {len(given)}: fix the row")
    return field(record, given[0], str, where)


def _read_csv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        names = reader.fieldnames or []
        if len(set(names)) != len(names):
            raise ValueError(f"{path} line 1 names a column twice: keep one of them")
        for record in reader:
            # The inner reader's count: the outer one does not count blank lines and errors.
            where = f"{path} line {reader.reader.line_num}"
            if None in record or None in record.values():
                raise ValueError(f"{where} does not have as many cells as the header: put texts with commas in quotes")
            yield where, record
    except csv.Error as error:
        raise ValueError(f"{path} line {reader.reader.line_num} is not CSV ({error}): fix the line") from None
