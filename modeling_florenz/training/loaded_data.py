"""Load the data of a recipe: its parts as they were found, and their rows in groups by task and language."""

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.dataset_info import Part
from ..data.datasets import find_dataset
from ..data.hiding import Hiding
from ..data.hub import HubRows
from ..data.multi30k import ambiguous_coco_ids
from ..data.rows import JoinedRows, Rows, TableRows
from ..data.unlabelled import UNLABELLED
from .data_source import DataSource


logger = logging.getLogger(__name__)

Groups = dict[str, Rows]


@dataclass(frozen=True)
class DataOptions:
    """Say how all parts of the data are loaded.

    Args:
        folder: what the folders of the parts are relative to.
        seed: of scenes that are drawn for training.
        stand_in: grey pictures where images are missing.
        hiding: what the sources of translations leave to the image.
        hidden_sources: probability that a source becomes "something".
        excluded: COCO ids of images to leave out of COCO's training split.
    """

    folder: Path
    seed: int
    stand_in: bool = False
    hiding: Hiding = Hiding()
    hidden_sources: float = 0.0
    excluded: frozenset[int] = frozenset()


@dataclass(frozen=True)
class LoadedPart:
    """Hold the rows of one entry of the recipe in one language.

    Args:
        source: the entry; its language is that of the rows which name none.
        language: ISO 639-1 code that was asked for.
        rows: what was found.
        counts: rows by `task/language`, as the rows themselves say.
    """

    source: DataSource
    language: str
    rows: Rows
    counts: dict[str, int]

    @property
    def name(self) -> str:
        """Return what the part is called in messages and records."""
        place = f" {self.source.place}" if self.source.place else ""
        split = f" {self.source.split}" if self.has_splits else ""
        return f"{self.source.dataset}{place}{split}, {self.language}"

    @property
    def has_splits(self) -> bool:
        """Return whether the split says which rows these are."""
        return self.source.dataset == "hub" or bool(find_dataset(self.source.dataset).splits)

    def summary(self) -> dict[str, Any]:
        """Return what was loaded, for the record of a run."""
        has_own_name = bool(find_dataset(self.source.dataset).splits)
        name = self.source.dataset if has_own_name else f"{self.source.dataset} {self.source.place}"
        commit = {"commit": self.rows.commit} if isinstance(self.rows, HubRows) and self.rows.commit else {}
        return {
            "dataset": name,
            "split": self.source.split if self.has_splits else None,
            **commit,
            "rows": dict(sorted(self.counts.items())),
        }


def load_source(source: DataSource, language: str, options: DataOptions) -> Rows:
    """Load one part of the data in one language, checked row by row but without opening an image.

    Raises:
        ValueError: the folder, a file, a row or an image is missing or wrong; see the dataset's loader.
    """
    part = Part(
        split=source.split,
        language=language,
        folder=options.folder / source.folder,
        task=source.task,
        examples=source.examples,
        stand_in=options.stand_in,
        seed=options.seed,
        hiding=options.hiding,
        hidden_sources=options.hidden_sources,
        excluded=options.excluded,
        hub=source.hub,
    )
    return find_dataset(source.dataset).load(part)


def load_parts(sources: Sequence[DataSource], options: DataOptions) -> list[LoadedPart]:
    """Load all parts that are there; optional ones that are missing are warned of and left out.

    Raises:
        ValueError: nothing is left, or see `load_source`.
    """
    parts = []
    for source in sources:
        if source.optional and not source.repo and not (options.folder / source.folder).is_dir():
            logger.warning("%s is left out: there is no folder %s", source.dataset, source.folder)
            continue
        for language in source.languages:
            rows = load_source(source, language, options)
            pairs = zip(rows.column("task"), rows.column("language"), strict=True)
            counts = Counter(f"{task}/{code}" for task, code in pairs)
            parts.append(LoadedPart(source, language, rows, dict(counts)))
    if not parts:
        raise ValueError("no training data is left: every part of it is optional and missing")
    return parts


def group_parts(parts: Sequence[LoadedPart]) -> Groups:
    """Put rows into one group for each `task/language`; captions of all lengths are one task, as in the paper."""
    groups: dict[str, list[Rows]] = defaultdict(list)
    for part in parts:
        # Rows of a folder can name other tasks and languages than the source does.
        places: dict[str, list[int]] = defaultdict(list)
        pairs = zip(part.rows.column("task"), part.rows.column("language"), strict=True)
        for index, (task, language) in enumerate(pairs):
            places[group_name(task, language)].append(index)
        for group, indices in places.items():
            groups[group].append(part.rows.select(indices) if isinstance(part.rows, TableRows) else part.rows)
    return {pair: found[0] if len(found) == 1 else JoinedRows(found) for pair, found in groups.items()}


def group_name(task: str, language: str) -> str:
    """Return the group of a row, `caption/de` for captions of any length."""
    return f"{task if task in ('translate', UNLABELLED) else 'caption'}/{language}"


def tested_coco_ids(sources: Sequence[DataSource], folder: Path) -> frozenset[int]:
    """List the COCO images that Multi30K tests on, if both are among the data: they must not be trained on."""
    if any(source.dataset == "coco_karpathy" for source in sources):
        for source in sources:
            if source.dataset.startswith("multi30k") and (folder / source.folder).is_dir():
                return ambiguous_coco_ids(folder / source.folder)
    return frozenset()
