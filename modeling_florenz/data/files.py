"""Read the files of datasets: errors are one sentence with file, line and what to do."""

import gzip
import json
import os
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any


_KINDS = {str: "a text", int: "a whole number", list: "a list", dict: "an object"}


def read_text(path: Path, fix: str = "put the published file there, plain or as .gz") -> str:
    """Read a UTF-8 file, or its `.gz` beside it.

    Raises:
        ValueError: neither is there, or it is cut off or not UTF-8; `fix` says what to do if it is missing.
    """
    packed = path.with_name(path.name + ".gz")
    path = packed if packed.is_file() and not path.exists() else path
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path == packed else content
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist: {fix}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ValueError(f"{path} line {line} is not UTF-8: save the file as UTF-8") from None
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} could not be read ({error}): download the file again") from None


def read_lines(path: Path) -> list[str]:
    """Read a file with one text per line, none of them empty; spaces around the texts are kept."""
    # Other separators that `str.splitlines` knows can occur within a sentence.
    lines = read_text(path).split("\n")
    if not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            raise ValueError(f"{path} line {number} is empty: every line needs a text, download the file again")
    return lines


def read_parallel(paths: Sequence[Path]) -> list[tuple[str, ...]]:
    """Read files whose lines correspond to each other.

    Raises:
        ValueError: the files differ in length.
    """
    columns = [read_lines(path) for path in paths]
    for path, lines in zip(paths, columns, strict=True):
        if len(lines) != len(columns[0]):
            raise ValueError(
                f"{path} has {len(lines):,} lines, but {paths[0]} has {len(columns[0]):,}: their lines must "
                "correspond, download both again"
            )
    return list(zip(*columns, strict=True))


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return _parse(read_text(path), str(path))


def read_json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield file and line, for errors, and the value of each line of a JSON lines file."""
    for number, line in enumerate(read_lines(path), start=1):
        where = f"{path} line {number}"
        yield where, _parse(line, where)


def field(record: Any, name: str, kind: type, where: str) -> Any:
    """Get a field of a JSON object; `ValueError` if it is missing or of another kind."""
    value = record.get(name) if isinstance(record, dict) else None
    if not isinstance(value, kind):
        raise ValueError(
            f"{where} needs {name!r} as {_KINDS[kind]}, not {value!r:.60}: fix it or download the file again"
        )
    return value


def files_below(folder: Path) -> list[Path]:
    """List the files in a folder and in those within it, by path; links are listed and not followed.

    Raises:
        ValueError: a folder cannot be read, so that what is in it would be left out.
    """

    def refuse(error: OSError) -> None:
        raise ValueError(f"the folder {error.filename} could not be read ({error.strerror}): move it away")

    found = []
    for place, folders, files in os.walk(folder, onerror=refuse):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        found += [Path(place, name) for name in (*files, *links)]
    return sorted(found)


def image_folders(folder: Path) -> list[Path]:
    """List a folder and the folders in it: archives of images are unpacked into either."""
    if not folder.is_dir():
        return [folder]
    return [folder, *sorted(inside for inside in folder.iterdir() if inside.is_dir())]


def find_image(folders: Sequence[Path], name: str, where: str) -> Path:
    """Find an image by its name in the first folder that has it; if none has, return where it should be.

    A name from another system is found too: in other letter case, with accents in another form, or with backslashes
    between folders.

    Raises:
        ValueError: the name or a link leads out of the folder, or several files have similar names.
    """
    for written in dict.fromkeys((name, name.replace("\\", "/"))):
        parts = PurePosixPath(written).parts
        if not written or "\0" in written or written.startswith("/") or ".." in parts:
            break
        for folder in folders:
            path: Path | None = folder / written
            if not os.path.isfile(folder / written):
                try:
                    path = find_alike(folder, *parts)
                except ValueError as error:
                    raise ValueError(f"{where}: {error}") from None
            if path is None:
                continue
            if not is_inside(path, folder):
                raise ValueError(
                    f"{where}: the image {name!r} is a link that leads out of {folder}: put the file itself there"
                )
            return path
    else:
        return folders[0] / name
    raise ValueError(f"{where}: the image {name!r} is not inside {folders[0]}: name it relative to that folder")


def find_alike(folder: Path, *parts: str) -> Path | None:
    """Find a file below a folder by names that may differ in letter case and Unicode form.

    Raises:
        ValueError: several names are equal in this sense.
    """
    for part in parts:
        if not os.path.lexists(folder / part):
            try:
                names = _names(folder, folder.stat().st_mtime_ns).get(_alike(part), ())
            except OSError:
                return None
            if not names:
                return None
            if len(names) > 1:
                raise ValueError(f"{folder} has no {part!r}, but {' and '.join(map(repr, names))}: name one of them")
            part = names[0]
        folder = folder / part
    return folder if os.path.isfile(folder) else None


def check_utf8(path: Path) -> None:
    """Refuse a file whose name neither tables nor reports can hold."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        name = str(path).encode(errors="backslashreplace").decode()
        raise ValueError(f"the name of the image {name} is not UTF-8: rename it") from None


def is_inside(path: Path, folder: Path) -> bool:
    """Return whether a path stays inside a folder once links are followed."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _alike(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


@lru_cache(maxsize=64)
def _names(folder: Path, changed: int) -> dict[str, tuple[str, ...]]:
    """List what is in a folder, by normalised name; `changed` is when it was last written to."""
    names: dict[str, tuple[str, ...]] = {}
    for name in sorted(os.listdir(folder)):
        names[_alike(name)] = (*names.get(_alike(name), ()), name)
    return names


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is not JSON ({error}): fix it or download the file again") from None
