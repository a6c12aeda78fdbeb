"""Write so that a killed process leaves nothing that looks complete, and the next one continues where it stopped.

Files and folders get their name by a single rename, when they are complete. What takes hours is stored entry by entry,
as JSON lines. Settings stored beside it keep other results out, and a lock keeps a second process out.
"""

import errno
import json
import os
import shutil
import threading
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import accumulate
from operator import itemgetter
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout


DISK_FULL = (errno.ENOSPC, errno.EDQUOT)  # errors of a full disk, and of a quota that is used up


class InUse(ValueError):
    """Another process is writing the same file or folder."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; when the block ends without an error, the file there takes the name `path`.

    An older file of that name stays until then. Of several processes that write it, the last one wins.

    Args:
        path: the file to make or replace; its folder is made if missing.

    Example:

    ```python
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "notes.txt"
    >>> with whole_file(path) as partial:
    ...     _ = partial.write_text("all of it")
    >>> path.read_text()
    'all of it'
    ```
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The name itself may be as long as a name can be.
    partial = path.with_name(f".{hash(path.name):x}-{os.getpid()}-{threading.get_ident()}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, completely or not at all."""
    with whole_file(path) as partial:
        partial.write_bytes(text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write an indented JSON file, completely or not at all."""
    write_text(path, _encode(value, indent=1).decode("utf-8"))


@contextmanager
def whole_folder(folder: Path, replace: bool = False, work: str = "") -> Iterator[Path]:
    """Yield an empty folder to fill; when the block ends without an error, it takes the name `folder`.

    Until then it is called `FOLDER.partial`. After an error it is removed; after a kill the next run starts over.

    Args:
        folder: the new folder; one of that name may be there if it is empty.
        replace: remove an older folder of that name at the end.
        work: name of work that can be continued: the folder is `FOLDER.WORK.partial`, still holds what an earlier run
            of the same work left there, and is kept after an error.

    Raises:
        ValueError: the folder exists, or another process is writing it (`InUse`).
    """
    partial = folder.with_name(f"{folder.name}.{work}.partial" if work else f"{folder.name}.partial")
    with hold(folder):
        if not replace and folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise ValueError(f"{folder} exists already: remove it or give another name")
        if not work:
            shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(exist_ok=True)
        try:
            yield partial
        except BaseException:
            if not work:
                shutil.rmtree(partial, ignore_errors=True)
            with suppress(OSError):  # it holds something to continue with
                partial.rmdir()
            raise
        # Moved away first: nobody must see half of it while it is removed.
        older = folder.with_name(f"{folder.name}.older.partial")
        shutil.rmtree(older, ignore_errors=True)
        if folder.exists():
            folder.rename(older)
        partial.rename(folder)
        shutil.rmtree(older, ignore_errors=True)
        if not replace:
            # Whoever takes the lock from here on finds the folder: no two processes write it.
            with suppress(OSError):
                _lock_file(folder).unlink()


@contextmanager
def hold(path: Path, wait: bool = False) -> Iterator[None]:
    """Keep other processes from writing a file or folder; however this one ends, its lock `.NAME.lock` ends with it.

    Args:
        path: what is written; its folder is made if missing.
        wait: wait for another process instead of refusing.

    Raises:
        InUse: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The file is never removed: two processes could then hold it.
    lock = FileLock(_lock_file(path), timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except Timeout:
        raise InUse(f"another run is writing {path}: wait until it ends, or give another name") from None
    try:
        yield
    finally:
        lock.release()


def check_settings(
    kept: Mapping[str, Any], wanted: Mapping[str, Any], holder: str, fix: str, free: Iterable[str] = ()
) -> None:
    """Check that what is there was made with the same settings.

    Args:
        kept: settings of what is there.
        wanted: settings of this run.
        holder: what is there, for the message, such as "runs/it holds a run".
        fix: what to do, for the message.
        free: names of settings that may differ.

    Raises:
        ValueError: settings differ; all of them are named.
    """
    names = sorted({*kept, *wanted} - set(free))
    if changed := [name for name in names if kept.get(name) != wanted.get(name)]:
        raise ValueError(f"{holder} with other settings ({', '.join(changed)}): {fix}")


def read_settings(path: Path, fix: str) -> dict[str, Any]:
    """Read settings that were written as JSON.

    Raises:
        ValueError: the file is broken; `fix` says what to do.
    """
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        settings = None
    if not isinstance(settings, dict):
        raise ValueError(f"{path} is broken: {fix}")
    return settings


def keep_settings(path: Path, settings: Mapping[str, Any], holder: str, fix: str, free: Iterable[str] = ()) -> None:
    """Write settings as JSON, or check them against those that are there; see `check_settings`.

    Raises:
        ValueError: the file is broken, or holds other settings.
    """
    if path.exists():
        check_settings(read_settings(path, fix), json.loads(_encode(settings)), holder, fix, free)
    else:
        write_json(path, settings)


class LineFile:
    """Read and write a file with one line of JSON for each entry, and hold none of them.

    A last line that a killed process left unfinished is ignored, and removed before the next entry is added. Only
    `append` changes the file, so it can be read meanwhile. Processes that add must `hold` it while they read and add.

    Args:
        path: of the file, which need not exist yet.
        fields: of an entry that make its key; of several, the tuple of their values.

    Example:

    ```python
    >>> import tempfile
    >>> file = LineFile(Path(tempfile.mkdtemp()) / "captions.jsonl", "key")
    >>> [first, second] = file.append([{"key": "a.png", "text": "A dog."}, {"key": "b.png", "text": "A cat."}])
    >>> file.at(second)["text"]
    'A cat.'
    ```
    """

    def __init__(self, path: Path, *fields: str) -> None:
        self.path, self.fields, self._key = path, fields, itemgetter(*fields)
        self._unfinished, self._line_break = 0, b""

    def read(self) -> Iterator[tuple[int, int, Any, dict[str, Any]]]:
        """Yield the number of each line, its place in bytes, its key and its entry; to its end before `append`.

        Raises:
            ValueError: a line is broken; its number is named.
        """
        if not self.path.exists():
            return
        place = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                whole = line.endswith(b"\n")
                if (found := self._parse(line)) is not None:
                    yield number, place, *found
                    self._line_break = b"" if whole else b"\n"  # written by hand
                elif not whole:
                    self._unfinished = len(line)
                elif line.strip():
                    raise self.broken(number)
                place += len(line)

    def at(self, place: int) -> dict[str, Any]:
        """Return the entry that begins at a place."""
        with self.path.open("rb") as file:
            file.seek(place)
            return dict(json.loads(file.readline()))

    def append(self, entries: Iterable[Mapping[str, Any]]) -> list[int]:
        """Add entries, which have all fields of the key, to the end of the file; return where they begin."""
        lines = [_encode(entry) for entry in entries]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            start = file.truncate(file.tell() - self._unfinished) + len(self._line_break)
            file.write(self._line_break + b"".join(lines))
        self._unfinished, self._line_break = 0, b""
        return list(accumulate(map(len, lines[:-1]), initial=start)) if lines else []

    def broken(self, number: int) -> ValueError:
        """Return what is to be said of a line that is broken."""
        return ValueError(f"{self.path}, line {number} is broken: remove that line, and what it held is made again")

    def _parse(self, line: bytes) -> tuple[Hashable, dict[str, Any]] | None:
        with suppress(ValueError, KeyError, TypeError, RecursionError):
            entry = json.loads(line.decode("utf-8"))
            hash(key := self._key(entry))
            return key, entry
        return None


class JsonLines(LineFile):
    """Hold the entries of such a file by key, as `entries`.

    Raises:
        ValueError: a line is broken or has the key of an earlier one; its number is named.

    Example:

    ```python
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "captions.jsonl"
    >>> JsonLines(path, "key").append([{"key": "a.png", "text": "A dog."}])
    [0]
    >>> JsonLines(path, "key").entries["a.png"]["text"]
    'A dog.'
    ```
    """

    def __init__(self, path: Path, *fields: str) -> None:
        super().__init__(path, *fields)
        self.entries: dict[Any, dict[str, Any]] = {}
        for number, _, key, entry in self.read():
            if key in self.entries:
                name = ", ".join(f"{field} {entry[field]}" for field in fields)
                raise ValueError(f"{path}, line {number}: {name} is there twice: remove one of them")
            self.entries[key] = entry

    def append(self, entries: Iterable[Mapping[str, Any]]) -> list[int]:
        """Add entries as `LineFile` does."""
        entries = list(entries)
        places = super().append(entries)
        self.entries |= {self._key(entry): dict(entry) for entry in entries}
        return places


def _lock_file(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def _encode(value: Any, indent: int | None = None) -> bytes:
    # What is not Unicode, such as a file name from another system, is escaped: JSON has the escapes of Python.
    return (json.dumps(value, indent=indent, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
