"""Find the images that are asked for: files, folders, patterns, lists, streams, parquet tables and tar archives."""

import glob
import os
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from ..extras import install_command
from .images import find_images, is_address, is_read


TABLE, ARCHIVE, HUB = ".parquet", ".tar", "hf://datasets/"
STREAM = "standard input"
_MAX_BYTES = 1 << 30  # of one image
_MAX_LINE = 1 << 16
# How the files begin that are read, and some that are not.
_IMAGE = re.compile(
    rb"\x89PNG|\xff\xd8\xff|GIF8[79]a|II\*\0|MM\0\*|RIFF.{4}WEBPVP8|.{4}ftyp|BM.{4}\0{4}"
    rb"|P[1-7]\s+(#|\d+\s+\d+\s|\d*\s*\Z)",  # and not a list whose first path is "P1 holiday.jpg"
    re.DOTALL,
)


@dataclass(frozen=True)
class ImageInput:
    """Hold an image that is still to be read, or a sentence that says why it cannot be.

    Args:
        name: its path; within a table or archive, its place in it behind a `#`.
        path: the file that it is all of; None within a table or archive.
        content: the bytes of its file, where it is in a table or archive.
        problem: why it cannot be read, in one sentence.
        passed_over: whether it is of a kind that is not read, and no fault.
        beside: what the column `beside` of its table says; None elsewhere.
    """

    name: str
    path: Path | None = None
    content: bytes | None = None
    problem: str | None = None
    passed_over: bool = False
    beside: Any = None

    def read(self) -> bytes:
        """Return the bytes of its file.

        Raises:
            OSError: it cannot be read.
            ValueError: it has more than a gigabyte.
        """
        if self.path is None:
            return self.content or b""
        with self.path.open("rb") as file:
            content = file.read(min(_MAX_BYTES, os.fstat(file.fileno()).st_size or _MAX_BYTES) + 1)
        if len(content) > _MAX_BYTES:
            raise ValueError(_too_many_bytes(self.name))
        return content


def find_image_inputs(
    given: Iterable[str],
    recursive: bool = False,
    column: str = "image",
    stream: BinaryIO | None = None,
    beside: str = "",
    split: str = "train",
) -> Iterator[ImageInput]:
    """Yield the images of files, folders, patterns such as `photos/*.jpg`, parquet tables and tar archives, in order.

    Args:
        given: paths and patterns; `-` stands for what `stream` holds, `hf://datasets/OWNER/NAME` for a dataset on the
            Hub.
        recursive: look into the folders within folders too; links to folders are not followed.
        column: of a parquet table, with the bytes or the paths of images.
        stream: an image, or a list with one path per line, such as standard input.
        beside: of a parquet table, a column that is read along with the images; none if it is empty.
        split: of datasets on the Hub; see `hub_images`.

    Example:

    ```python
    >>> [image.name for image in find_image_inputs(["photos"], recursive=True)]  # doctest: +SKIP
    ['photos/a.jpg', 'photos/2024/b.jpg']
    ```
    """
    for entry in given:
        if entry == "-":
            yield from _in_stream(stream, recursive, column, split)
        elif entry.startswith(HUB):
            from .hub_images import hub_images

            yield from hub_images(entry, split, column)
        elif os.path.isdir(entry):
            yield from _in_folder(Path(entry), recursive)
        elif glob.has_magic(entry) and not os.path.exists(entry) and not is_address(entry):
            found = _matches(entry)
            yield from find_image_inputs(found, recursive, column, beside=beside, split=split)
            root, stars, _ = entry.partition("**")
            if stars and os.path.isdir(root or "."):
                unread: list[OSError] = []
                for _ in _folders(Path(root), unread.append):
                    continue
                yield from _unread(unread, Path(root))
            if not found:
                yield ImageInput(entry, problem=f"{entry} matches no file")
        elif entry.lower().endswith(TABLE) and os.path.isfile(entry):
            yield from _in_table(Path(entry), column, beside)
        elif entry.lower().endswith(ARCHIVE) and os.path.isfile(entry):
            yield from _in_archive(Path(entry))
        else:
            yield ImageInput(entry, Path(entry))


def _matches(pattern: str) -> list[str]:
    found = sorted(glob.glob(pattern, recursive=True))
    root, star, rest = pattern.partition("**")
    if not star:
        return found
    # As `recursive` does: links to folders are not followed, so that each file comes once and none leads in a circle.
    found = [path for path in found if not _passes_link(path, len(Path(root).parts))]
    # The files in a folder match beside it.
    return found if rest.strip("/*") else [path for path in found if not os.path.isdir(path)]


def _passes_link(path: str, start: int) -> bool:
    parts = Path(path).parts
    folders = (os.path.join(*parts[:end]) for end in range(start + 1, len(parts) + 1))
    return any(os.path.islink(folder) and os.path.isdir(folder) for folder in folders)


def _too_many_bytes(name: str) -> str:
    return f"{name} has more than the {_MAX_BYTES:,} bytes that are allowed"


def _in_stream(stream: BinaryIO | None, recursive: bool, column: str, split: str) -> Iterator[ImageInput]:
    first = b"" if stream is None else stream.readline(_MAX_LINE)
    if stream is not None and _IMAGE.match(first):
        content = first + stream.read(_MAX_BYTES)
        allowed = len(content) <= _MAX_BYTES
        yield ImageInput(
            STREAM, content=content if allowed else None, problem=None if allowed else _too_many_bytes(STREAM)
        )
        return
    number, empty = 0, True
    for number, line in enumerate(chain([first] if first else (), stream or ()), 1):
        path = os.fsdecode(line.rstrip(b"\r\n"))
        if "\0" in path:
            yield ImageInput(STREAM, problem=f"{STREAM} holds neither an image nor a path in line {number}")
            return
        if path and path != "-":
            empty = False
            yield from find_image_inputs([path], recursive, column, split=split)
    if empty:
        reason = "names no image" if number else "is empty"
        yield ImageInput(STREAM, problem=f"{STREAM} {reason}: send an image, or a path a line")


def _in_folder(folder: Path, recursive: bool) -> Iterator[ImageInput]:
    seen = False
    unread: list[OSError] = []
    for place in _folders(folder, unread.append) if recursive else [folder]:
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
    yield from _unread(unread, folder)
    if recursive and not seen:
        yield ImageInput(str(folder), problem=f"the folder {folder} and those in it hold no image that can be read")


def _folders(folder: Path, tell: Callable[[OSError], object]) -> Iterator[Path]:
    # Links are not followed, so that none leads round in a circle or out of the folder.
    for place, names, _ in os.walk(folder, onerror=tell):
        names[:] = sorted(name for name in names if not name.startswith("."))
        yield Path(place)


def _unread(errors: Iterable[OSError], folder: Path) -> Iterator[ImageInput]:
    """Yield the folders within a folder that could not be read."""
    for error in errors:
        if error.filename != str(folder):  # what is wrong with that is said where it is read
            reason = f"the folder {error.filename} could not be read: {error.strerror}"
            yield ImageInput(error.filename, problem=reason)


def _in_table(path: Path, column: str, beside: str = "") -> Iterator[ImageInput]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        reason = f"{path} needs pyarrow, which is not installed: {install_command('bulk')}"
        yield ImageInput(str(path), problem=reason)
        return
    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            names = table.schema_arrow.names
            wanted = [column, *([beside] if beside else [])]
            if missing := [name for name in wanted if name not in names]:
                option = ": name one with --image-column" if missing[0] == column and not beside else ""
                reason = f"{path} has no column {missing[0]!r}, only {', '.join(names)}{option}"
                yield ImageInput(str(path), problem=reason)
                return
            row = 0
            for batch in table.iter_batches(batch_size=16, columns=wanted):
                for entry in batch.to_pylist():
                    yield replace(_of_row(path, row, entry[column]), beside=entry[beside] if beside else None)
                    row += 1
            if not row:
                yield ImageInput(str(path), problem=f"{path} has no row")
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
                    continue  # captions and records are beside the images
                count += 1
                if member.size > _MAX_BYTES:
                    yield ImageInput(name, problem=_too_many_bytes(name))
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
