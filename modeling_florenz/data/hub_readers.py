"""Read the records of parquet tables, WebDataset archives and image folders; images are read when asked for."""

import copy
import csv
import io
import json
import tarfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple, Protocol

import pyarrow
import pyarrow.parquet

from .hub_files import HubFiles, SourceEndedError
from .images import is_read


class Place(NamedTuple):
    """Name where an image is: in a file or block, from `start` on, `size` bytes where these are known."""

    block: int
    start: int
    size: int


class Record(NamedTuple):
    """Hold a row as its source has it, without its image."""

    where: str
    values: dict[str, Any]
    place: Place


class Reader(Protocol):
    """Read records, and images one by one."""

    in_blocks: bool  # whether the images of one block are cheap to read together

    def records(self) -> Iterator[Record]:
        """Yield all records, in order."""
        ...

    def image(self, place: Place) -> bytes:
        """Return the bytes of an image file."""
        ...

    def fresh(self) -> "Reader":
        """Return a reader of the same files with a cache of its own."""
        ...


class ParquetReader:
    """Read parquet tables: of each row group the texts at once, and the images when the first of them is asked for.

    Args:
        files: the dataset.
        names: tables.
        image: column of the images: bytes, a struct of `bytes` and `path`, or the paths of files in the dataset.
        texts: the other columns that are wanted.
    """

    in_blocks = True

    def __init__(self, files: HubFiles, names: Sequence[str], image: str, texts: Sequence[str]) -> None:
        self.files, self.names, self.image_column, self.texts = files, list(names), image, list(texts)
        self.groups: list[tuple[str, int]] = []
        self._blocks: OrderedDict[int, pyarrow.ChunkedArray] = OrderedDict()

    def records(self) -> Iterator[Record]:
        self.groups = []
        for name in self.names:
            with self._table(name) as table:
                present = table.schema_arrow.names
                for column in (self.image_column, *self.texts):
                    if column not in present:
                        raise ValueError(
                            f"{name} of {self.files.place} has no column {column!r}, only {', '.join(present)}: "
                            "name them in columns"
                        )
                number = 0
                for group in range(table.num_row_groups):
                    self.groups.append((name, group))
                    try:
                        rows = table.read_row_group(group, columns=self.texts)
                    except Exception as error:
                        raise self.files.ended(name, error) from None
                    values = rows.to_pylist() if self.texts else [{}] * table.metadata.row_group(group).num_rows
                    for row, entry in enumerate(values):
                        number += 1
                        yield Record(f"{name} row {number}", entry, Place(len(self.groups) - 1, row, 0))

    def check_column(self) -> None:
        """Check that the first table has the column, and that it holds images.

        Raises:
            ValueError: it is missing, or holds something else.
        """
        with self._table(self.names[0]) as table:
            schema = table.schema_arrow
        if self.image_column not in schema.names:
            raise ValueError(
                f"{self.files.place} has no column {self.image_column!r}, only {', '.join(schema.names)}: name one in "
                "columns"
            )
        self.check_images(schema.field(self.image_column).type)

    def check_images(self, kind: pyarrow.DataType) -> None:
        """Check, by its type and where that leaves it open by its first value, that a column holds images.

        Raises:
            ValueError: it holds addresses, or something else.
        """
        types = pyarrow.types
        if types.is_string(kind) or types.is_large_string(kind):
            with self._table(self.names[0]) as table:
                if table.metadata.num_rows:
                    # Texts alone: cheap to read, where images would not be.
                    self._content(table.read_row_group(0, columns=[self.image_column]).column(0)[0].as_py())
            return
        # A table without rows can have columns of no type; that it holds none is said later.
        holds_bytes = types.is_binary(kind) or types.is_large_binary(kind) or types.is_null(kind)
        if not holds_bytes and not (types.is_struct(kind) and {"bytes", "path"} & {field.name for field in kind}):
            raise ValueError(
                f"the column {self.image_column!r} of {self.files.place} holds {kind}, not images: name another in "
                "columns"
            )

    def image(self, place: Place) -> bytes:
        return self._content(self._block(place.block)[place.start].as_py())

    def fresh(self) -> "ParquetReader":
        other = copy.copy(self)
        other._blocks = OrderedDict()
        return other

    def _content(self, value: Any) -> bytes:
        if isinstance(value, dict):
            value = value.get("bytes") or value.get("path")
        if isinstance(value, str) and value in self.files.names:
            return self.files.read(value)
        if isinstance(value, str) and "://" in value:
            raise ValueError(f"the image is an address, {value}: download the images first")
        if not isinstance(value, bytes):
            raise ValueError(
                f"the column {self.image_column!r} holds {value!r}, not an image or a file of the dataset"
            )
        return value

    def _block(self, block: int) -> pyarrow.ChunkedArray:
        if block not in self._blocks:
            name, group = self.groups[block]
            try:
                with self._table(name) as table:
                    self._blocks[block] = table.read_row_group(group, columns=[self.image_column]).column(0)
            except SourceEndedError:
                raise
            except Exception as error:  # what is cut off raises many kinds
                raise self.files.ended(name, error) from None
            while len(self._blocks) > BLOCKS_AT_A_TIME:
                self._blocks.popitem(last=False)
        return self._blocks[block]

    def _table(self, name: str) -> pyarrow.parquet.ParquetFile:
        options = {} if self.files.commit is None else {"cache_type": "none"}
        try:
            # Footers and columns are read whole: to read ahead would fetch the images between them.
            return pyarrow.parquet.ParquetFile(self.files.open(name, **options))
        except Exception as error:
            raise self.files.ended(name, error) from None


BLOCKS_AT_A_TIME = 2  # row groups whose rows are mixed, and which are kept in memory


class ArchiveReader:
    """Read WebDataset archives: members whose names differ only in their endings are one record.

    If its `json` member is a list, each entry is a record of the same image.
    """

    in_blocks = False

    def __init__(self, files: HubFiles, names: Sequence[str], image: str) -> None:
        self.files, self.names, self.image_column = files, list(names), image

    def records(self) -> Iterator[Record]:
        for block, name in enumerate(self.names):
            key, place = "", None
            values: dict[str, Any] = {}
            for member, content in self._members(name):
                path = PurePosixPath(member.name)
                stem, _, ending = path.name.partition(".")
                this = str(path.parent / stem)
                if this != key:
                    yield from self._record(name, key, values, place)
                    key, values, place = this, {}, None
                if content is None:
                    if not self.image_column or ending.lower() == self.image_column.lower():
                        place = place or Place(block, member.offset_data, member.size)
                elif ending == "json":
                    values["json"] = json.loads(content)
                else:
                    values[ending] = content.decode()
            yield from self._record(name, key, values, place)

    def image(self, place: Place) -> bytes:
        return self.files.read(self.names[place.block], place.start, place.start + place.size)

    def fresh(self) -> "ArchiveReader":
        return self

    def _record(self, name: str, key: str, values: dict[str, Any], place: Place | None) -> Iterator[Record]:
        if key and place is None:
            wanted = self.image_column or "of an image"
            raise ValueError(f"{name} of {self.files.place}: {key} has no member with the ending {wanted}")
        if place is not None:
            entries = values.get("json")
            for entry in entries if isinstance(entries, list) else [entries]:
                yield Record(f"{name}#{key}", values if entry is None else {**values, "json": entry}, place)

    def _members(self, name: str) -> Iterator[tuple[tarfile.TarInfo, bytes | None]]:
        try:
            # Small blocks, so that the images between the texts are passed over.
            options = {} if self.files.commit is None else {"block_size": 1 << 16}
            with self.files.open(name, **options) as file, tarfile.open(fileobj=file, mode="r:") as archive:
                while (member := archive.next()) is not None:
                    archive.members = []  # type: ignore[attr-defined]  # the list would grow with the archive
                    if not member.isfile() or PurePosixPath(member.name).name.startswith("."):
                        continue
                    if is_read(member.name):
                        yield member, None
                        continue
                    opened = archive.extractfile(member)
                    yield member, opened.read() if opened else b""
                # Two blocks of zeros end an archive; one that was cut off reads as if it were whole.
                if file.seek(0, io.SEEK_END) - archive.offset < tarfile.BLOCKSIZE:
                    raise EOFError("it ends early")
        except (tarfile.TarError, OSError, EOFError) as error:
            raise self.files.ended(name, error) from None
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(f"{name} of {self.files.place} holds a text that cannot be read: {error}") from None


class FolderReader:
    """Read images beside a `metadata.jsonl` or `metadata.csv` that says in `file_name` which row is about which."""

    in_blocks = False

    def __init__(self, files: HubFiles, names: Sequence[str], everywhere: Sequence[str]) -> None:
        self.files = files
        self.tables = [name for name in names if is_metadata(name)]
        self.images = [name for name in names if is_read(name)]
        self.everywhere = frozenset(everywhere)

    def records(self) -> Iterator[Record]:
        number_of = {name: number for number, name in enumerate(self.images)}
        for table in self.tables:
            for where, values in self._lines(table):
                name = values.get("file_name")
                if not isinstance(name, str):
                    raise ValueError(f"{where} has no text in file_name: name the image there")
                path = (PurePosixPath(table).parent / name).as_posix()
                if path in number_of:
                    yield Record(where, values, Place(number_of[path], 0, 0))
                elif path not in self.everywhere:  # else it is of another split
                    raise ValueError(f"{where}: {self.files.place} has no file {path}: put it there")

    def image(self, place: Place) -> bytes:
        return self.files.read(self.images[place.block])

    def fresh(self) -> "FolderReader":
        return self

    def _lines(self, table: str) -> Iterator[tuple[str, dict[str, Any]]]:
        where = f"{table} of {self.files.place}"
        try:
            text = self.files.read(table).decode("utf-8-sig")
            lines: Iterator[Mapping[str, Any]]
            if table.endswith(".csv"):
                lines = csv.DictReader(io.StringIO(text, newline=""), strict=True)
            else:
                lines = (json.loads(line) for line in text.split("\n") if line.strip())
            for number, values in enumerate(lines, 1):
                if not isinstance(values, Mapping):
                    raise ValueError(f"{where} row {number} is not an object: write one on each line")
                yield f"{where} row {number}", dict(values)
        except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
            raise ValueError(f"{where} cannot be read ({error}): fix the file") from None


def is_metadata(name: str) -> bool:
    """Return whether a file is the table of an image folder."""
    return PurePosixPath(name).name in ("metadata.jsonl", "metadata.csv")
