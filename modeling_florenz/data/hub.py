"""Load datasets in the formats of the Hub: parquet, WebDataset and image folders, downloaded or streamed."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from datasets import Dataset, Features, Value, concatenate_datasets

from .columns import COLUMNS, Row, check_texts
from .dataset_info import Part
from .hub_files import HubFiles, choose_files, download, find_files
from .hub_readers import ArchiveReader, FolderReader, ParquetReader, Place, Reader, Record, is_metadata
from .images import open_image
from .rows import TableRows


_PLACE = {name: Value("int64") for name in Place._fields}
_ROWS_AT_A_TIME = 2000
_USUAL = {
    "image": ("image", "jpg", "png"),
    "target": ("target", "text", "caption", "txt"),
    "references": ("references",),
    "language": ("language",),
    "source": ("source",),
    "task": ("task",),
    "incorrect": ("incorrect",),
}


class HubRows(TableRows):
    """Read rows whose images are in the files of a dataset.

    Args:
        table: all columns but the image, and where that is.
        reader: of the images.
        added: see `TableRows`.
        commit: of the repository, which fixes all of its content; None for a folder.
    """

    def __init__(
        self, table: Dataset, reader: Reader, added: Mapping[str, Any] | None = None, commit: str | None = None
    ) -> None:
        super().__init__(table, added)
        self.reader, self.commit = reader, commit

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self.table[index]
        place = _pop_place(row)
        image = open_image(io.BytesIO(self.reader.image(place)), row["key"])
        return {**row, "image": image, **self.added}

    def without_images(self) -> list[dict[str, Any]]:
        return [{**row, **self.added} for row in self.table.remove_columns(list(_PLACE))]

    def contrasts(self) -> HubRows | None:
        return self if "incorrect" in self.table.column_names else None

    def image_digest(self, index: int) -> str:
        if self.commit is not None:
            # What a commit holds never changes, so that no image needs to be fetched for this.
            return hashlib.sha256(f"{self.commit} {self.table[index]['key']}".encode()).hexdigest()
        return hashlib.sha256(self.reader.image(_pop_place(self.table[index]))).hexdigest()

    def image_name(self, index: int) -> str | None:
        return None if self.commit is None else f"{self.commit} {self.table[index]['key']}"

    def without_image(self, index: int) -> dict[str, Any]:
        row = self.table[index]
        _pop_place(row)
        return {**row, **self.added}

    def select(self, indices: Sequence[int]) -> HubRows:
        return HubRows(self.table.select(indices), self.reader.fresh(), self.added, self.commit)

    def blocks(self) -> list[int] | None:
        return list(self.table["block"]) if self.reader.in_blocks else None


def load_hub(part: Part) -> HubRows:
    """Load a split of a dataset on the Hub or in a folder; texts are read, and images when their row is.

    Args:
        part: `hub` names the repository, and its columns by ours.

    Raises:
        ValueError: there is no such repository, revision, split or column, a row is wrong, or none is left.
        SourceEndedError: a file cannot be read to its end.
    """
    found = find_files(part.folder, part.hub)
    chosen = choose_files(found, part.hub.config, part.split)
    files = found if part.hub.streaming else download(found, part.hub, chosen)
    columns, reader = _reader(files, chosen, found, part.hub.columns)
    kinds = {name: kind for name, kind in COLUMNS.items() if name != "image"} | _PLACE
    if "incorrect" in columns:
        kinds["incorrect"] = Value("string")
    features, parts = Features(kinds), []
    rows = islice(_rows(reader, columns, part), part.examples or None)
    # Python's own objects for all rows at once would take ten times the memory.
    while some := list(islice(rows, _ROWS_AT_A_TIME)):
        values = {
            "target": [row.references[0] for row, _ in some],
            **{name: [getattr(place, name) for _, place in some] for name in _PLACE},
            **{name: [getattr(row, name) for row, _ in some] for name in kinds if name not in ("target", *_PLACE)},
        }
        parts.append(Dataset.from_dict(values, features=features))
    if not parts:
        raise ValueError(f"the split {part.split!r} of {files.place} holds no row in {part.language}: name another")
    hides = part.hiding.mode != "none" or part.hidden_sources
    added = {"hiding": part.hiding, "hidden_sources": part.hidden_sources} if hides else {}
    return HubRows(concatenate_datasets(parts), reader, added, files.commit)


def _reader(
    files: HubFiles, chosen: Sequence[str], found: HubFiles, given: Mapping[str, str]
) -> tuple[dict[str, str], Reader]:
    """Return their column for each of ours, and what reads them."""
    if tables := [name for name in chosen if name.endswith(".parquet")]:
        import pyarrow.parquet

        try:
            with files.open(tables[0]) as file:
                schema = pyarrow.parquet.read_schema(file)
        except Exception as error:
            raise files.ended(tables[0], error) from None
        present = schema.names
        columns = _columns(present, given, files)
        image = columns["image"]
        texts = dict.fromkeys(
            name if name in present else name.partition(".")[0] for ours, name in columns.items() if ours != "image"
        )
        reader = ParquetReader(files, tables, image, list(texts))
        reader.check_images(schema.field(image).type)
        return columns, reader
    if archives := [name for name in chosen if name.endswith(".tar")]:
        archive = ArchiveReader(files, archives, given.get("image", ""))
        values = _first_values(archive, files, archives)
        present = [*values, *(f"json.{name}" for name in values.get("json", ()))]
        return _columns([*present, given.get("image", "image")], given, files), archive
    if any(map(is_metadata, chosen)):
        folder = FolderReader(files, chosen, found.names)
        present = list(_first_values(folder, files, folder.tables))
        return _columns([*present, "image"], {**given, "image": "image"}, files), folder
    raise ValueError(
        f"the split of {files.place} has no .parquet, .tar or metadata.jsonl, only {', '.join(chosen[:3])}: convert it"
    )


def _first_values(reader: Reader, files: HubFiles, names: Sequence[str]) -> dict[str, Any]:
    for record in reader.records():
        return record.values
    raise ValueError(f"{', '.join(names[:3])} of {files.place} holds no row: name another split")


def _columns(present: Sequence[str], given: Mapping[str, str], files: HubFiles) -> dict[str, str]:
    columns = {}
    for ours, usual in _USUAL.items():
        name = given.get(ours) or next((name for name in usual if name in present), None)
        if name is None:
            continue
        if name not in present and name.partition(".")[0] not in present:
            raise ValueError(f"{files.place} has no column {name!r}, only {', '.join(present)}: name them in columns")
        columns[ours] = name
    for ours in ("image", "target"):
        if ours not in columns and not (ours == "target" and "references" in columns):
            raise ValueError(
                f"{files.place} has the columns {', '.join(present)}: say in columns which of them is the {ours}"
            )
    return columns


def _rows(reader: Reader, columns: Mapping[str, str], part: Part) -> Iterator[tuple[Row, Place]]:
    for record in reader.records():
        value = {ours: _value(record, name) for ours, name in columns.items() if ours != "image"}
        language = value.get("language") or part.language
        if language != part.language:
            continue
        targets = value.get("target") if value.get("target") is not None else value.get("references")
        texts = [targets] if isinstance(targets, str) else targets
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            name = columns.get("target", columns.get("references"))
            raise ValueError(f"{record.where}: the column {name!r} holds {targets!r}, not a text or a list of texts")
        task = str(value.get("task") or part.task)
        row = Row(
            image=part.folder,
            task=task,
            language=str(language),
            references=[text.strip() for text in texts],
            key=record.where,
            where=record.where,
            source=str(value.get("source") or "").strip() if task == "translate" else "",
            incorrect=value.get("incorrect"),
        )
        check_texts(row)
        yield row, record.place


def _value(record: Record, name: str) -> Any:
    if name in record.values:
        return record.values[name]
    value: Any = record.values
    for key in name.split("."):
        if not isinstance(value, Mapping) or key not in value:
            raise ValueError(f"{record.where} has no {name}: give all rows the same columns")
        value = value[key]
    return value


def _pop_place(row: dict[str, Any]) -> Place:
    return Place(*(row.pop(name) for name in Place._fields))
