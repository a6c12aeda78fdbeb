"""Find the images that are asked for: files, folders, patterns, lists of paths, parquet tables and tar archives."""

import glob
import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .images import find_images, is_read


TABLE, ARCHIVE = ".parquet", ".tar"
_MAX_BYTES = 1 << 30  # of one image in a table or archive


@dataclass(frozen=True)
class ImageInput:
    """Hold an image that is still to be read, or a sentence that says why it cannot be.

    Args:
        name: its path; within a table or archive, its place in it behind a `#`.
        path: the file that it is all of; None within a table or archive.
        content: the bytes of its file, where it is in a table or archive.
        problem: why it cannot be read, in one sentence.
        passed_over: whether it is of a kind that is not read, and no fault.
    """

    name: str
    path: Path | None = None
    content: bytes | None = None
    problem: str | None = None
    passed_over: bool = False

    def read(self) -> bytes:
        """Return the bytes of its file."""
        if self.path is not None:
            return self.path.read_bytes()
        return self.content or b""


def find_image_inputs(
    given: Iterable[str], recursive: bool = False, column: str = "image", listed: Iterable[str] = ()
) -> Iterator[ImageInput]:
    """Yield the images of files, folders, patterns such as `photos/*.jpg`, parquet tables and tar archives, in order.

    Args:
        given: paths and patterns; `-` stands for the lines of `listed`.
        recursive: look into the folders within folders too; links to folders are not followed.
        column: of a parquet table, with the bytes or the paths of images.
        listed: lines with a path each.

    Example:

    ```python
    >>> [image.name for image in find_image_inputs(["photos"], recursive=True)]  # doctest: +SKIP
    ['photos/a.jpg', 'photos/2024/b.jpg']
    ```
    """
    for entry in given:
        if entry == "-":
            lines = (line.rstrip("\r\n") for line in listed)
            yield from find_image_inputs((line for line in lines if line and line != "-"), recursive, column)
        elif os.path.isdir(entry):
            yield from _in_folder(Path(entry), recursive)
        elif not os.path.exists(entry) and glob.has_magic(entry):
            found = sorted(glob.glob(entry, recursive=True))
            yield from find_image_inputs(found, recursive, column)
            if not found:
                yield ImageInput(entry, problem=f"{entry} matches no file")
        elif entry.lower().endswith(TABLE) and os.path.isfile(entry):
            yield from _in_table(Path(entry), column)
        elif entry.lower().endswith(ARCHIVE) and os.path.isfile(entry):
            yield from _in_archive(Path(entry))
        else:
            yield ImageInput(entry, Path(entry))


def _in_folder(folder: Path, recursive: bool) -> Iterator[ImageInput]:
    seen = False
    for place in _folders(folder) if recursive else [folder]:
        found = find_images([place])
        seen = seen or bool(found.images)
        for path in found.images:
            yield ImageInput(str(path), path)
        # With folders inside it, one that holds no image itself is nothing odd.
        for reason in found.refused:
            if not (recursive and reason.startswith(f"the folder {place} holds no image")):
                yield ImageInput(str(place), problem=reason)
        for path in found.passed_over:
            reason = f"{path} is of a kind that is not read: save it as JPEG or PNG"
            yield ImageInput(str(path), problem=reason, passed_over=True)
    if recursive and not seen:
        yield ImageInput(str(folder), problem=f"the folder {folder} and those in it hold no image that can be read")


def _folders(folder: Path) -> Iterator[Path]:
    # Links are not followed, so that none leads round in a circle or out of the folder.
    for place, names, _ in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith("."))
        yield Path(place)


def _in_table(path: Path, column: str) -> Iterator[ImageInput]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            names = table.schema_arrow.names
            if column not in names:
                reason = f"{path} has no column {column!r}, only {', '.join(names)}: name one with --image-column"
                yield ImageInput(str(path), problem=reason)
                return
            row = 0
            for batch in table.iter_batches(batch_size=16, columns=[column]):
                for value in batch.column(0).to_pylist():
                    yield _of_row(path, row, value)
                    row += 1
    except (OSError, pyarrow.ArrowException) as error:
        reason = " ".join(str(error).split())
        yield ImageInput(str(path), problem=f"{path} could not be read as a parquet table: {reason}")


def _of_row(table: Path, row: int, value: Any) -> ImageInput:
    name = f"{table}#{row}"
    if isinstance(value, dict):  # as `datasets` stores images
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes):
        return ImageInput(name, content=value)
    if isinstance(value, str):
        return ImageInput(value, Path(value))
    return ImageInput(name, problem=f"{name} holds neither the bytes nor the path of an image")


def _in_archive(path: Path) -> Iterator[ImageInput]:
    count = 0
    try:
        with tarfile.open(path, "r:") as archive:
            while (member := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # the list would grow with the archive
                name = f"{path}#{member.name}"
                if not member.isfile() or not is_read(member.name):
                    continue  # captions and records lie beside the images
                count += 1
                if member.size > _MAX_BYTES:
                    yield ImageInput(name, problem=f"{name} has {member.size:,} bytes: {_MAX_BYTES:,} are allowed")
                    continue
                file = archive.extractfile(member)
                content = b"" if file is None else file.read()
                if len(content) < member.size:
                    raise tarfile.ReadError("it ends within a file")
                yield ImageInput(name, content=content)
            # Where a header is cut, tarfile takes it for the end.
            if 0 < path.stat().st_size - archive.offset < tarfile.BLOCKSIZE:
                raise tarfile.ReadError("it ends within a header")
    except (OSError, EOFError, tarfile.TarError) as error:
        reason = f"{path} could not be read to its end: {error}; the images before that place were used"
        yield ImageInput(str(path), problem=reason)
        return
    if not count:
        yield ImageInput(str(path), problem=f"{path} holds no image that can be read")
