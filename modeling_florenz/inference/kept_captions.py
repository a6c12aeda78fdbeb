"""Keep the captions of many images in one file: a run that was stopped goes on, and nothing is written twice."""

import hashlib
import os
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from .. import __version__
from ..data.image_inputs import STREAM, TABLE, ImageInput
from ..data.images import is_address
from ..extras import install_command
from ..resumable import LineFile, hold, keep_settings, read_settings, whole_file
from .block_writer import Captions
from .bulk import CaptionedImage
from .bulk_options import BulkOptions


FIX = "give another --output, or --overwrite to make everything in it again"
# These decide how fast captions come; a batch, like the threads of a model, at most in what order sums are rounded.
_FREE = ("batch_size", "workers")
_FOLDER = "names_start_from"
_BATCH = 4096


@dataclass(frozen=True)
class Wrapped:
    """Put the same words before and after every caption, such as the trigger word of a training."""

    before: str = ""
    after: str = ""

    def around(self, captions: Captions) -> dict[tuple[str, str], str]:
        """Return captions with these words around them."""
        return {key: f"{self.before}{text}{self.after}" for key, text in captions.items()}


class CaptionsFile:
    """Keep captions as JSON lines: one for each image, task and language, in the order of the images.

    Only where the lines are is held, some 400 bytes for each image.

    Args:
        path: of the file.
        failures: of JSON lines that name the images without captions, with the reasons; not made if there are none.
        keys: tasks and languages that every image has.
        wrapped: words around every caption.
        via: written into every line, if captions go by way of a language.
        folder: that relative names in the file start from.

    Raises:
        ValueError: a line is broken or there twice; its number is named.
    """

    def __init__(
        self,
        path: Path,
        failures: Path,
        keys: list[tuple[str, str]],
        wrapped: Wrapped,
        via: str | None,
        folder: Path,
    ) -> None:
        self.keys, self.wrapped, self.via = keys, wrapped, via
        self._file = LineFile(path, "image", "content", "task", "language")
        self._failures = LineFile(failures, "image")
        # Names from another folder are written so that they lead to the same files.
        self._folder = None if folder == Path.cwd() else folder
        self._lines: dict[bytes, int] = {}  # by name and content: a bit for each key that has a line, and one if seen
        self._names: dict[bytes, bool] = {}  # whether it was seen
        self._places: dict[str, array[int]] = {}  # by content: where the line of each key begins
        self._may_be_outdated = False
        for number, place, (name, content, *key), entry in self._file.read():
            texts = (name, content, entry.get("text"))
            if not all(isinstance(text, str) for text in texts) or tuple(key) not in keys:
                raise self._file.broken(number)
            index = keys.index((key[0], key[1]))
            if self._has_line(name, content, index):
                raise ValueError(f"{path}, line {number} is there twice: remove one of them")
            self._keep(name, content, index, place)

    def has(self, image: ImageInput) -> bool:
        """Return False: whether a file has changed is seen when it is read."""
        return False

    def captions_of(self, content: str) -> Captions | None:
        """Return all captions of a file by its digest, as they are in the file."""
        places = self._places.get(content)
        if places is None or min(places) < 0:
            return None
        return {key: self._file.at(place)["text"] for key, place in zip(self.keys, places, strict=True)}

    def add(self, block: list[CaptionedImage]) -> list[CaptionedImage]:
        """Add the captions of images that are not there yet, in one write, and the failures; return the images."""
        entries: dict[tuple[str, str, int], dict[str, Any]] = {}
        failures: list[dict[str, str]] = []
        for image in block:
            if image.problem is not None:
                if not image.image.passed_over:
                    failures.append({"image": self._name(image.image.name), "problem": image.problem})
                continue
            name, content = self._name(image.image.name), image.content
            known = self.captions_of(content) or self.wrapped.around(image.captions)
            for index, key in enumerate(self.keys):
                if not self._has_line(name, content, index):
                    entries[name, content, index] = {
                        **dict(zip(self._file.fields, (name, content, *key), strict=True)),
                        "text": known[key],
                        "bytes": image.size,
                        **({} if self.via is None else {"via": self.via}),
                    }
            self._see(name, content)
        if entries:
            for line, place in zip(entries, self._file.append(entries.values()), strict=True):
                self._keep(*line, place)
        if failures:
            self._failures.append(failures)
        return block

    def finish(self) -> None:
        """Leave out what was written about images that have changed since."""
        if self._may_be_outdated and any(self._is_outdated(entry) for *_, entry in self._file.read()):
            with whole_file(self._file.path) as partial:
                for entries in self.batches():
                    LineFile(partial, *self._file.fields).append(
                        entry for entry in entries if not self._is_outdated(entry)
                    )

    def batches(self) -> Iterator[list[dict[str, Any]]]:
        """Yield all lines in order, some thousands at a time."""
        lines = self._file.read()
        while batch := [entry for *_, entry in islice(lines, _BATCH)]:
            yield batch

    def _name(self, name: str) -> str:
        return name if self._folder is None or not _is_relative(name) else os.path.relpath(name, self._folder)

    def _has_line(self, name: str, content: str, index: int) -> bool:
        return bool(self._lines.get(_digest(name, content), 0) >> index + 1 & 1)

    def _keep(self, name: str, content: str, index: int, place: int) -> None:
        line, named = _digest(name, content), _digest(name)
        if line not in self._lines:
            self._may_be_outdated |= named in self._names
        self._lines[line] = self._lines.get(line, 0) | 2 << index
        self._names.setdefault(named, False)
        places = self._places.setdefault(content, array("q", [-1] * len(self.keys)))
        if places[index] < 0:
            places[index] = place

    def _see(self, name: str, content: str) -> None:
        line = _digest(name, content)
        if line not in self._lines:
            self._may_be_outdated |= _digest(name) in self._names
        self._lines[line] = self._lines.get(line, 0) | 1
        self._names[_digest(name)] = True

    def _is_outdated(self, entry: Mapping[str, Any]) -> bool:
        name = entry["image"]
        is_seen = self._lines.get(_digest(name, entry["content"]), 0) & 1
        # What came through a pipe has no name of its own.
        return name != STREAM and self._names.get(_digest(name), False) and not is_seen


def _digest(*texts: str) -> bytes:
    return hashlib.blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def failures_file(output: Path) -> Path:
    """Return the file beside the captions that names the images that the last run skipped, and says why."""
    return output.with_name(f"{output.name}.failures.jsonl")


@contextmanager
def keep_captions(
    output: Path, made_by: Mapping[str, Any], options: BulkOptions, wrapped: Wrapped, overwrite: bool = False
) -> Iterator[CaptionsFile]:
    """Open a file of captions to go on in it; what made them stands beside it and must be the same.

    A parquet table is written at the end, from the JSON lines that are kept beside it.

    Args:
        output: `.jsonl` or `.parquet`.
        made_by: what decides the captions besides the options; see `block_writer.made_by`.
        overwrite: remove what is there first.

    Raises:
        ValueError: the file holds captions of another model or other settings, or another process is writing it.
    """
    is_table = output.suffix.lower() == TABLE
    if is_table:
        _import_parquet()
    path = output.with_name(f"{output.name}.jsonl") if is_table else output
    settings_path = output.with_name(f"{output.name}.settings.json")
    failures = failures_file(output)
    with hold(path):
        if overwrite:
            for older in (settings_path, path, output, failures):
                older.unlink(missing_ok=True)
        filled = [older for older in (path, output, failures) if older.exists() and older.stat().st_size]
        if filled and not settings_path.exists():
            raise ValueError(f"{filled[0]} is there, but {settings_path.name}, which says what made it, is not: {FIX}")
        if not {path, output}.intersection(filled):
            settings_path.unlink(missing_ok=True)  # of a run that captioned nothing
        here = os.path.relpath(Path.cwd(), output.parent.resolve())
        settings = {**_settings(made_by, options, wrapped), _FOLDER: here}
        keep_settings(settings_path, settings, f"{output} holds captions", FIX, free=[_FOLDER])
        folder = _folder(path, output.parent.resolve() / str(read_settings(settings_path, FIX).get(_FOLDER, here)))
        keys = [(task, language) for task in options.tasks for language in options.languages]
        kept = CaptionsFile(path, failures, keys, wrapped, options.via, folder)
        failures.unlink(missing_ok=True)  # images that failed are tried again
        yield kept
        kept.finish()
        if is_table:
            _write_table(output, kept)


def _folder(path: Path, first: Path) -> Path:
    """Return the folder that names start from: that of the first run, unless the captions were moved away from it."""
    names = (str(name) for _, _, (name, *_), _ in LineFile(path, "image", "content").read())
    name = next((name for name in names if _is_relative(name)), "").partition("#")[0]
    return Path.cwd() if Path(name).exists() and not (first / name).exists() else first.resolve()


def _is_relative(name: str) -> bool:
    return name != STREAM and not is_address(name) and not os.path.isabs(name)


def _settings(made_by: Mapping[str, Any], options: BulkOptions, wrapped: Wrapped) -> dict[str, Any]:
    asked = {name: value for name, value in asdict(options).items() if name not in _FREE}
    return {
        **made_by,
        **asked,
        **asdict(wrapped),
        "package_version": __version__,
    }


def _import_parquet() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise ValueError(f"parquet tables need pyarrow: {install_command('bulk')}, or write .jsonl") from None
    return pyarrow


def _write_table(output: Path, kept: CaptionsFile) -> None:
    pyarrow = _import_parquet()
    texts = ("image", "content", "task", "language", "text")
    fields = [*((name, pyarrow.string()) for name in texts), ("bytes", pyarrow.int64())]
    schema = pyarrow.schema(fields + ([] if kept.via is None else [("via", pyarrow.string())]))
    with whole_file(output) as partial, pyarrow.parquet.ParquetWriter(partial, schema) as table:
        for entries in kept.batches():
            for entry in entries:  # a name may not be Unicode
                entry["image"] = entry["image"].encode("utf-8", "backslashreplace").decode()
            table.write_table(pyarrow.Table.from_pylist(entries, schema=schema))
