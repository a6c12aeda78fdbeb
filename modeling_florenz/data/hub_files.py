"""List and read the files of a dataset, on the Hub or in a folder, and choose those of a split."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, Any

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import glob_translate
from huggingface_hub import DatasetCard, HfApi, HfFileSystem, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

from .dataset_info import HubPlace
from .files import files_below
from .images import is_read


_SPLIT_WORDS = {"train": ("train", "training"), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}


class SourceEndedError(ValueError):
    """A file of a dataset can no longer be read: no fault of a single row, which could be skipped."""


@dataclass(frozen=True)
class HubFiles:
    """Hold the files of a dataset.

    Args:
        place: what errors call it.
        system: reads the files.
        root: of the names, in `system`.
        names: of the files, with `/` between folders.
        commit: of the repository; None for a folder.
    """

    place: str
    system: AbstractFileSystem
    root: str
    names: tuple[str, ...]
    commit: str | None = None

    def open(self, name: str, **options: Any) -> IO[bytes]:
        """Open a file; options are fsspec's."""
        return self.system.open(f"{self.root}/{name}", "rb", **options)

    def read(self, name: str, start: int | None = None, end: int | None = None) -> bytes:
        """Read a file, or the bytes from `start` to before `end`.

        Raises:
            SourceEndedError: it cannot be read, or ends before `end`.
        """
        try:
            content = self.system.cat_file(f"{self.root}/{name}", start=start, end=end)
        except Exception as error:  # the client of the Hub raises many kinds
            raise self.ended(name, error) from None
        if start is not None and end is not None and len(content) != end - start:
            raise SourceEndedError(f"{name} of {self.place} ends early: run the same command again")
        return content

    def ended(self, name: str, error: Exception) -> SourceEndedError:
        """Make the error that says why a file cannot be read."""
        reason = " ".join(str(error).split()) or type(error).__name__
        return SourceEndedError(f"{name} of {self.place} could not be read ({reason}): run the same command again")


def find_files(folder: Path, place: HubPlace) -> HubFiles:
    """List the files of a repository, at the commit that its revision names now, or of a folder.

    Raises:
        ValueError: there is no such repository, revision or folder, or the Hub cannot be reached.
    """
    if not place.repo:
        if not folder.is_dir():
            raise ValueError(f"hub needs the folder {folder}: put the data there, or name a repo")
        names = sorted(path.relative_to(folder).as_posix() for path in files_below(folder) if path.is_file())
        return HubFiles(str(folder), LocalFileSystem(), str(folder.absolute()), _visible(names))
    name = f"{place.repo} at {place.revision or 'main'}"
    try:
        info = HfApi().dataset_info(place.repo, revision=place.revision)
    except RevisionNotFoundError:
        raise ValueError(f"the dataset {place.repo} has no revision {place.revision!r}: name another") from None
    except RepositoryNotFoundError:
        raise ValueError(f"there is no dataset {place.repo} on the Hub, or it is private: set HF_TOKEN") from None
    except Exception as error:  # offline, in its many forms
        return _cached(place, name, error)
    names = sorted(file.rfilename for file in info.siblings or ())
    # Without a cache of instances, which would outlive a change of the endpoint.
    system = HfFileSystem(skip_instance_cache=True)
    return HubFiles(name, system, f"datasets/{place.repo}@{info.sha}", _visible(names), info.sha)


def download(files: HubFiles, place: HubPlace, names: Sequence[str]) -> HubFiles:
    """Return the files on this machine, downloading those of the Hub that are missing.

    Raises:
        ValueError: the download failed.
    """
    if files.commit is None or isinstance(files.system, LocalFileSystem):
        return files
    # A table can name images by their paths.
    pictures = [name for name in files.names if is_read(name)] if names[0].endswith(".parquet") else []
    try:
        folder = snapshot_download(
            place.repo, repo_type="dataset", revision=files.commit, allow_patterns=[*names, *pictures]
        )
    except Exception as error:
        raise ValueError(f"{files.place} could not be downloaded: {' '.join(str(error).split())}") from None
    return replace(files, system=LocalFileSystem(), root=folder)


def choose_files(files: HubFiles, config: str, split: str) -> list[str]:
    """List the files of a split: as the card's `configs` say, or else by the names of files and folders.

    Raises:
        ValueError: the card has no such configuration or split, or no file is of this split.
    """
    declared = _declared(files, config)
    if declared is not None:
        if split not in declared:
            raise ValueError(f"{files.place} has no split {split!r}, only {', '.join(declared)}: name one of them")
        patterns = [re.compile(glob_translate(pattern)) for pattern in declared[split]]
        chosen = [name for name in files.names if any(pattern.match(name) for pattern in patterns)]
    else:
        if config:
            raise ValueError(f"{files.place} has no configurations in its card: leave config out")
        data = [name for name in files.names if PurePosixPath(name).name.lower() not in ("readme.md", "license")]
        known = {name: found for name in data if (found := _split_of(name, split))}
        # A table of metadata above all splits is of all of them.
        everywhere = [name for name in data if name not in known and PurePosixPath(name).stem == "metadata"]
        chosen = [name for name, found in known.items() if found == split]
        chosen = [*everywhere, *chosen] if chosen else [] if known or split != "train" else data
    if not chosen:
        raise ValueError(f"{files.place} has no file of the split {split!r}: name another split")
    return chosen


def _cached(place: HubPlace, name: str, error: Exception) -> HubFiles:
    try:
        folder = snapshot_download(
            place.repo, repo_type="dataset", revision=place.revision or "main", local_files_only=True
        )
    except LocalEntryNotFoundError:
        reason = " ".join(str(error).split())
        raise ValueError(f"{name} is not in the cache, and the Hub cannot be reached: {reason}") from None
    names = sorted(path.relative_to(folder).as_posix() for path in files_below(Path(folder)) if path.is_file())
    return HubFiles(name, LocalFileSystem(), folder, _visible(names), Path(folder).name)


def _visible(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in names if not any(part.startswith(".") for part in name.split("/")))


def _split_of(name: str, wanted: str) -> str | None:
    """Return the split that a file's path names; `wanted` is one by whatever name."""
    words = re.split(r"[^a-z0-9]+", name.lower())
    if wanted.lower() in words:
        return wanted
    if wanted in _SPLIT_WORDS and any(word in words for word in _SPLIT_WORDS[wanted]):
        return wanted
    return next((split for split, known in _SPLIT_WORDS.items() if any(word in words for word in known)), None)


def _declared(files: HubFiles, config: str) -> dict[str, list[str]] | None:
    """Return the patterns of each split, as the card has them; None if it has none."""
    if "README.md" not in files.names:
        return None
    try:
        card = DatasetCard(files.read("README.md").decode())
        entries: list[dict[str, Any]] = list(card.data.get("configs") or ())
        names = [str(entry["config_name"]) for entry in entries]
    except SourceEndedError:
        raise
    except Exception as error:
        raise ValueError(f"the card of {files.place} is broken ({' '.join(str(error).split())}): fix it") from None
    if not entries:
        return None
    usual = next((entry for entry in entries if entry.get("default")), None)
    if config and config not in names:
        raise ValueError(f"{files.place} has no config {config!r}, only {', '.join(names)}: name one of them")
    if not config and usual is None and len(entries) > 1 and "default" not in names:
        raise ValueError(f"{files.place} has the configs {', '.join(names)}: name one of them in config")
    found = next((entry for entry in entries if entry["config_name"] == (config or "default")), usual or entries[0])
    data: Any = found.get("data_files")
    if data is None:
        return None
    parts = (
        data if isinstance(data, list) and data and isinstance(data[0], dict) else [{"split": "train", "path": data}]
    )
    return {
        str(part["split"]): [part["path"]] if isinstance(part["path"], str) else list(part["path"]) for part in parts
    }
