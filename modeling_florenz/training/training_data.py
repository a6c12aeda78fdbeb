"""Load the data of a recipe into groups by task and language, and turn rows into batches."""

import logging
import random
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers.modeling_outputs import BaseModelOutputWithPooling

from ..data.dataset_info import Part
from ..data.datasets import find_dataset
from ..data.hiding import Hiding
from ..data.multi30k import ambiguous_coco_ids
from ..data.rows import JoinedRows, Rows, TableRows
from ..data.unlabelled import UNLABELLED
from ..processing_florenz import FlorenzProcessor, to_rgb
from .feature_cache import FeatureCache
from .grounding import ground
from .recipe import DataSource


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
    )
    return find_dataset(source.dataset).load(part)


def load_groups(sources: Sequence[DataSource], options: DataOptions) -> Groups:
    """Load all parts, one group for each `task/language`; captions of all lengths are one task here, as in the paper.

    Raises:
        ValueError: see `load_source`.
    """
    groups: dict[str, list[Rows]] = defaultdict(list)
    for source in sources:
        if source.optional and not (options.folder / source.folder).is_dir():
            logger.warning("%s is left out: there is no folder %s", source.dataset, source.folder)
            continue
        for language in source.languages:
            rows = load_source(source, language, options)
            # Rows of a folder can name other tasks and languages than the source does.
            places: dict[str, list[int]] = defaultdict(list)
            for index, pair in enumerate(zip(rows.column("task"), rows.column("language"), strict=True)):
                places[_group(*pair)].append(index)
            for group, indices in places.items():
                groups[group].append(rows.select(indices) if isinstance(rows, TableRows) else rows)
    if not groups:
        raise ValueError("no training data is left: every part of it is optional and missing")
    return {pair: parts[0] if len(parts) == 1 else JoinedRows(parts) for pair, parts in groups.items()}


def _group(task: str, language: str) -> str:
    return f"{task if task in ('translate', UNLABELLED) else 'caption'}/{language}"


def tested_coco_ids(sources: Sequence[DataSource], folder: Path) -> frozenset[int]:
    """List the COCO images that Multi30K tests on, if both are among the data: they must not be trained on."""
    if any(source.dataset == "coco_karpathy" for source in sources):
        for source in sources:
            if source.dataset.startswith("multi30k") and (folder / source.folder).is_dir():
                return ambiguous_coco_ids(folder / source.folder)
    return frozenset()


def _with_rgb(row: dict[str, Any]) -> dict[str, Any]:
    try:
        return {**row, "image": to_rgb(row["image"])}
    except Exception as error:  # decoders raise many kinds, and images can be decoded late
        name = getattr(row["image"], "filename", "") or row.get("key", "an image")
        return {"skipped": f"{name}: {' '.join(str(error).split()) or type(error).__name__}"}


@dataclass
class TrainingCollator:
    """Turn rows into a batch with labels; rows whose image could not be read are left out and named in `skipped`."""

    processor: FlorenzProcessor
    image_size: int | None = None
    features: FeatureCache | None = None
    _grey: Image.Image = field(default_factory=lambda: Image.new("RGB", (32, 32), (128, 128, 128)))

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        rows = [row if "skipped" in row else _with_rgb(row) for row in rows]
        skipped = [row["skipped"] for row in rows if "skipped" in row]
        rows = [row for row in rows if "skipped" not in row]
        nothing = not rows
        if nothing:
            # A step needs a batch: this one asks for no token.
            blank = {"image": self._grey, "task": "caption", "language": "en", "source": None, "target": "-"}
            rows = [blank]
        for row in rows:
            if row["source"] and row.get("draw_seed") and "hiding" in row:
                rng = random.Random(f"grounding/{row['draw_seed']}")
                row["source"] = ground(row["source"], row["hiding"], row["hidden_sources"], row["language"], rng)
        keys = [] if self.features is None or nothing else [self.features.key(row["image"]) for row in rows]
        cached = self.features.read(keys) if self.features is not None and keys else None
        sources: list[Any] = [row["source"] or None for row in rows]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "targets of more than")  # counted and said before the first step
            batch = self.processor(
                # A caption without an image is refused there: a tiny one stands in for finished image tokens.
                images=[row["image"] for row in rows] if cached is None else self._grey,
                text=sources,
                task=[row["task"] for row in rows],
                language=[row["language"] for row in rows],
                target=[row["target"] for row in rows],
                image_size=self.image_size,
                return_tensors="pt",
            )
        if cached is not None:
            del batch["pixel_values"]
            batch["mm_encoder_outputs"] = {"image": BaseModelOutputWithPooling(pooler_output=cached)}
        elif keys:
            batch["image_keys"] = keys
        if nothing:
            batch["labels"] = torch.full_like(batch["labels"], -100)
        if skipped:
            batch["skipped"] = skipped
        return dict(batch)
