"""Describe a dataset, and which of its rows are wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .choices import check_choice
from .hiding import Hiding
from .samples import Writer


if TYPE_CHECKING:
    from .rows import Rows


@dataclass(frozen=True)
class HubPlace:
    """Name a dataset in the Hub's formats.

    Args:
        repo: `owner/name` on the Hub; empty for a folder on this machine.
        revision: branch, tag or commit of the repository.
        config: one of those that its card lists; empty for its only or default one.
        columns: the dataset's column for each of ours.
        streaming: read files on the Hub part by part, without a copy on this machine.
    """

    repo: str = ""
    revision: str | None = None
    config: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    streaming: bool = False


@dataclass(frozen=True)
class Part:
    """Describe which rows of a dataset are wanted.

    Args:
        split: one of the dataset's.
        language: ISO 639-1 code.
        folder: where the files are.
        task: for datasets with several.
        examples: at most so many, the first ones; 0 for all.
        stand_in: show a grey picture where an image is missing.
        seed: of scenes that are drawn for training.
        hiding, hidden_sources: what the sources of drawn scenes leave to the image.
        excluded: COCO ids of images to leave out of COCO's training split.
        hub: where the dataset `hub` is, and what its columns are called.
    """

    split: str
    language: str
    folder: Path = Path()
    task: str = "caption"
    examples: int = 0
    stand_in: bool = False
    seed: int = 0
    hiding: Hiding = Hiding()
    hidden_sources: float = 0.0
    excluded: frozenset[int] = frozenset()
    hub: HubPlace = HubPlace()


@dataclass(frozen=True)
class DatasetInfo:
    """Describe a dataset.

    Args:
        name: in recipes and on the command line.
        tasks: of its rows.
        splits: entries that were published, by split and language; 0 where as many are drawn as are asked for. Empty
            if each row names its own task and language.
        folder: below the folder of all data; empty if there is none.
        loader: loads a part.
        sample_writer: writes a few made-up entries in the dataset's own files, for trial runs; None where the loader
            needs no files.
    """

    name: str
    tasks: tuple[str, ...]
    splits: Mapping[str, Mapping[str, int]]
    folder: str
    loader: Callable[[Part], Rows]
    sample_writer: Writer | None

    @property
    def languages(self) -> tuple[str, ...]:
        """Return the languages of all splits, as ISO 639-1 codes."""
        return tuple(dict.fromkeys(language for languages in self.splits.values() for language in languages))

    def published(self, split: str, language: str) -> int:
        """Return how many entries of a split were published in a language.

        Raises:
            ValueError: the dataset has no such split, or not in this language.
        """
        check_choice(f"split of {self.name}", split, self.splits)
        check_choice(f"language of {self.name}", language, self.splits[split])
        return self.splits[split][language]

    def load(self, part: Part) -> Rows:
        """Load a part, checked row by row but without opening an image.

        Raises:
            ValueError: the split or language is not one of the dataset's, the folder is missing, or its files are
                incomplete or broken.
        """
        if self.splits:
            self.published(part.split, part.language)
        if self.sample_writer is not None and not part.folder.is_dir():
            raise ValueError(f"{self.name} needs the folder {part.folder}: put the data there, or name another folder")
        return self.loader(part)
