"""Read the rows of a dataset from any source, opening an image only when its row is read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable


if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image


class Examples(Protocol):
    """Rows to read one by one; each has an image, a task, a language, a source, a target, references and a key."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> dict[str, Any]:
        """Return a row with its image opened.

        Raises:
            IndexError: there is no such row.
        """
        ...


class Rows(Examples, Protocol):
    """Rows that can also be read without their images."""

    def column(self, name: str) -> list[Any]:
        """Return one column, other than the image, of all rows."""
        ...

    def without_images(self) -> list[dict[str, Any]]:
        """Return all rows without their images."""
        ...

    def contrasts(self) -> Rows | None:
        """Return the rows with an `incorrect` target, one that another image would make right, or None."""
        ...


@runtime_checkable
class StoredImages(Protocol):
    """Rows whose images are files, which can be told apart without decoding them."""

    def image_digest(self, index: int) -> str:
        """Digest the image file of a row.

        Raises:
            OSError: the file cannot be read.
        """
        ...


@runtime_checkable
class NamedImages(Protocol):
    """Rows whose images have names that change with their content, so that they can be told apart unread."""

    def image_name(self, index: int) -> str | None:
        """Return path, size and time of a row's image file, or what else stands for it; None if it has no name."""
        ...

    def without_image(self, index: int) -> dict[str, Any]:
        """Return a row without its image."""
        ...


@runtime_checkable
class InBlocks(Protocol):
    """Rows of which those of one block are cheap to read together."""

    def blocks(self) -> list[int] | None:
        """Return the block of each row, or None where any order is as good."""
        ...


class TableRows:
    """Read rows from a table on disk.

    Args:
        table: with the columns of [`~modeling_florenz.data.columns.build_dataset`].
        added: values that every row gets in addition to its own, such as what to hide of its source.

    Example:

    ```python
    >>> rows = TableRows(load_commute("CoMMuTE", "de"))  # doctest: +SKIP
    >>> rows.column("key")[0]  # doctest: +SKIP
    ```
    """

    def __init__(self, table: Dataset, added: Mapping[str, Any] | None = None) -> None:
        self.table, self.added = table, dict(added or {})

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {**self.table[index], **self.added}

    def column(self, name: str) -> list[Any]:
        return list(self.table[name])

    def without_images(self) -> list[dict[str, Any]]:
        return [{**row, **self.added} for row in self.table.remove_columns("image")]

    def contrasts(self) -> TableRows | None:
        return self if "incorrect" in self.table.column_names else None

    def image_digest(self, index: int) -> str:
        stored = self.table.with_format("arrow")[index]["image"][0].as_py()
        content = Path(stored["path"]).read_bytes() if stored["bytes"] is None else stored["bytes"]
        return hashlib.sha256(content).hexdigest()

    def image_name(self, index: int) -> str | None:
        stored = self.table.with_format("arrow")[index]["image"][0].as_py()
        if stored["bytes"] is not None:
            return None
        try:
            found = os.stat(stored["path"])
        except OSError:  # reported when it is read
            return None
        return f"{stored['path']} {found.st_size} {found.st_mtime_ns}"

    def without_image(self, index: int) -> dict[str, Any]:
        return {**self._texts[index], **self.added}

    @cached_property
    def _texts(self) -> Dataset:
        return self.table.remove_columns("image")

    def select(self, indices: Sequence[int]) -> TableRows:
        """Return only the rows at these positions."""
        return TableRows(self.table.select(indices), self.added)


class JoinedRows:
    """Read several datasets as one, in their order."""

    def __init__(self, parts: Sequence[Rows]) -> None:
        self.parts = list(parts)

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, index: int) -> dict[str, Any]:
        part, index = self._find(index)
        return part[index]

    def image_name(self, index: int) -> str | None:
        part, index = self._find(index)
        return part.image_name(index) if isinstance(part, NamedImages) else None

    def without_image(self, index: int) -> dict[str, Any]:
        part, index = self._find(index)
        return part.without_image(index) if isinstance(part, NamedImages) else part[index]

    def _find(self, index: int) -> tuple[Rows, int]:
        if index < 0:
            raise IndexError(index)
        for part in self.parts:
            if index < len(part):
                return part, index
            index -= len(part)
        raise IndexError(index)

    def column(self, name: str) -> list[Any]:
        return [value for part in self.parts for value in part.column(name)]

    def without_images(self) -> list[dict[str, Any]]:
        return [row for part in self.parts for row in part.without_images()]

    def blocks(self) -> list[int] | None:
        found = [part.blocks() if isinstance(part, InBlocks) else None for part in self.parts]
        if all(blocks is None for blocks in found):
            return None
        joined: list[int] = []
        for part, blocks in zip(self.parts, found, strict=True):
            first = max(joined, default=-1) + 1
            joined += [first + block for block in (range(len(part)) if blocks is None else blocks)]
        return joined

    def contrasts(self) -> Rows | None:
        return join([found for part in self.parts if (found := part.contrasts()) is not None])


def join(parts: Sequence[Rows]) -> Rows | None:
    """Return one or several datasets as one; None if there is none."""
    return None if not parts else parts[0] if len(parts) == 1 else JoinedRows(parts)


def image_digest(rows: Examples, index: int) -> str:
    """Digest the image of a row: its file, or the pixels of one that is drawn.

    Raises:
        IndexError: there is no such row.
        OSError: the image file cannot be read.
    """
    return rows.image_digest(index) if isinstance(rows, StoredImages) else pixel_digest(rows[index]["image"])


def pixel_digest(image: Image.Image) -> str:
    """Digest the pixels of an image."""
    return hashlib.sha256(f"{image.mode} {image.size} ".encode() + image.tobytes()).hexdigest()
