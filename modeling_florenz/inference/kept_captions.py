"""Keep the captions of many images in one file: a run that was stopped goes on, and nothing is written twice."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .. import __version__
from ..data.image_inputs import TABLE, ImageInput
from ..extras import install_command
from ..resumable import JsonLines, hold, keep_settings, whole_file
from .block_writer import Captions
from .bulk import CaptionedImage
from .bulk_options import BulkOptions


FIX = "give another --output, or take --overwrite to make all of them again"
# These decide how fast captions come; a batch, like the threads of a model, at most in what order sums are rounded.
_FREE = ("batch_size", "workers")


@dataclass(frozen=True)
class Wrapped:
    """Put the same words before and after every caption, such as the trigger word of a training."""

    before: str = ""
    after: str = ""

    def around(self, captions: Captions) -> dict[tuple[str, str], str]:
        """Return captions with these words around them."""
        return {key: f"{self.before}{text}{self.after}" for key, text in captions.items()}


@dataclass
class CaptionsFile:
    """Keep captions as JSON lines: one for each image, task and language, in the order of the images.

    Args:
        path: of the file.
        keys: tasks and languages that every image has.
        wrapped: words around every caption.
        via: written into every line, if captions go by way of a language.
    """

    path: Path
    keys: list[tuple[str, str]]
    wrapped: Wrapped = field(default_factory=Wrapped)
    via: str | None = None

    def __post_init__(self) -> None:
        self._lines = JsonLines(self.path, "image", "content", "task", "language")
        self._by_content: dict[str, dict[tuple[str, str], str]] = {}
        self._now: dict[str, str] = {}  # content of each image as it was last seen
        for (_, content, task, language), entry in self._lines.entries.items():
            self._by_content.setdefault(content, {})[task, language] = entry["text"]

    def has(self, image: ImageInput) -> bool:
        """Return False: whether a file has changed is seen when it is read."""
        return False

    def captions_of(self, content: str) -> Captions | None:
        """Return all captions of a file by its digest, as they are in the file."""
        found = self._by_content.get(content, {})
        return found if all(key in found for key in self.keys) else None

    def add(self, block: Iterable[CaptionedImage]) -> None:
        """Add the captions of images that are not there yet, in one write."""
        entries: dict[Any, dict[str, Any]] = {}
        for image in block:
            if image.problem is not None:
                continue
            name, content = image.image.name, image.content
            self._now[name] = content
            known = self.captions_of(content) or self.wrapped.around(image.captions)
            self._by_content[content] = dict(known)
            for task, language in self.keys:
                key = (name, content, task, language)
                if key not in self._lines.entries:
                    entries[key] = {
                        **dict(zip(self._lines.fields, key, strict=True)),
                        "text": known[task, language],
                        "bytes": image.size,
                        **({} if self.via is None else {"via": self.via}),
                    }
        if entries:
            self._lines.append(entries.values())

    def finish(self) -> None:
        """Leave out what was written about images that have changed since."""
        entries = self._lines.entries
        now = {key: entry for key, entry in entries.items() if self._now.get(key[0], key[1]) == key[1]}
        if len(now) < len(entries):
            with whole_file(self.path) as partial:
                JsonLines(partial, *self._lines.fields).append(now.values())

    @property
    def entries(self) -> Iterable[Mapping[str, Any]]:
        """Return all lines in order."""
        return self._lines.entries.values()


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
    with hold(path):
        if overwrite:
            for older in (settings_path, path, output):
                older.unlink(missing_ok=True)
        if path.exists() and path.stat().st_size and not settings_path.exists():
            raise ValueError(f"{path} is there, but not {settings_path.name}, which says what made it: {FIX}")
        keep_settings(settings_path, _settings(made_by, options, wrapped), f"{output} holds captions", FIX)
        keys = [(task, language) for task in options.tasks for language in options.languages]
        kept = CaptionsFile(path, keys, wrapped, options.via)
        yield kept
        kept.finish()
        if is_table:
            _write_table(output, CaptionsFile(path, keys).entries)


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


def _write_table(output: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    pyarrow = _import_parquet()
    table = pyarrow.Table.from_pylist([dict(entry) for entry in entries])
    with whole_file(output) as partial:
        pyarrow.parquet.write_table(table, partial)
