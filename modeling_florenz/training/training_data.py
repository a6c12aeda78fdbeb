"""Load the data of a recipe into groups by task and language, and turn rows into batches."""

import logging
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers.modeling_outputs import BaseModelOutputWithPooling

from ..data.coco_karpathy import load_coco_karpathy
from ..data.commute import load_commute
from ..data.docci import load_docci
from ..data.emoji_scenes.rows import SceneRows
from ..data.emoji_scenes.world import Coverage, EmojiWorld
from ..data.folder import load_folder
from ..data.image_paragraphs import load_image_paragraphs
from ..data.multi30k import ambiguous_coco_ids, load_multi30k_captions, load_multi30k_translation
from ..data.rows import JoinedRows, Rows, TableRows
from ..processing_florenz import FlorenzProcessor
from .feature_cache import FeatureCache
from .grounding import ground
from .recipe import DataSource, RecipeArguments


logger = logging.getLogger(__name__)

Groups = dict[str, Rows]


def load_source(source: DataSource, language: str, recipe: RecipeArguments, seed: int) -> Rows:
    """Load one part of the data in one language, checked row by row but without opening an image.

    Raises:
        ValueError: the folder, a file, a row or an image is missing or wrong; see the dataset's loader.
    """
    if source.dataset == "emoji_scenes":
        coverage = Coverage(((source.task, language),), recipe.source_hiding, recipe.hidden_sources)
        return SceneRows(EmojiWorld(), coverage, seed, source.examples)
    english_only = source.dataset in ("coco_karpathy", "docci", "image_paragraphs")
    if english_only and language != "en":
        raise ValueError(f"{source.dataset} is in English only: languages must be [en], not {source.languages}")
    folder = Path(recipe.data_folder) / source.folder
    if not folder.is_dir():
        raise ValueError(f"{source.dataset} needs the folder {folder}: put the data there, or set data_folder")
    load = {
        "multi30k_translation": partial(load_multi30k_translation, folder, source.split, language),
        "multi30k_captions": partial(load_multi30k_captions, folder, source.split, language),
        "commute": partial(load_commute, folder, language, source.split),
        "coco_karpathy": partial(load_coco_karpathy, folder, source.split, exclude=_excluded(recipe, source)),
        "docci": partial(load_docci, folder, source.split),
        "image_paragraphs": partial(load_image_paragraphs, folder, source.split),
        "folder": partial(load_folder, folder, source.task, language),
    }[source.dataset]
    table = load(stand_in=recipe.stand_in)
    if source.examples:
        table = table.select(range(min(source.examples, len(table))))
    return TableRows(table, {"hiding": recipe.source_hiding, "hidden_sources": recipe.hidden_sources})


def load_groups(sources: Sequence[DataSource], recipe: RecipeArguments, seed: int) -> Groups:
    """Load all parts, one group for each `task/language`; captions of all lengths are one task here, as in the paper.

    Raises:
        ValueError: see `load_source`.
    """
    groups: dict[str, list[Rows]] = defaultdict(list)
    for source in sources:
        if source.optional and not (Path(recipe.data_folder) / source.folder).is_dir():
            logger.warning("%s is left out: there is no folder %s", source.dataset, source.folder)
            continue
        for language in source.languages:
            rows = load_source(source, language, recipe, seed)
            if not isinstance(rows, TableRows):
                groups[_group(source.task, language)].append(rows)
                continue
            places: dict[str, list[int]] = defaultdict(list)
            for index, pair in enumerate(zip(rows.column("task"), rows.column("language"), strict=True)):
                places[_group(*pair)].append(index)
            for group, indices in places.items():
                groups[group].append(rows.select(indices))
    if not groups:
        raise ValueError("no training data is left: every part of it is optional and missing")
    return {pair: parts[0] if len(parts) == 1 else JoinedRows(parts) for pair, parts in groups.items()}


def _group(task: str, language: str) -> str:
    return f"{'translate' if task == 'translate' else 'caption'}/{language}"


def _excluded(recipe: RecipeArguments, source: DataSource) -> frozenset[int]:
    """List the COCO images that Multi30K tests on, if Multi30K is there: they must not be trained on."""
    for entry in (*recipe.train_data, *recipe.eval_data):
        folder = Path(recipe.data_folder) / entry.folder
        if entry.dataset.startswith("multi30k") and folder.is_dir() and source.split in ("train", "restval"):
            return ambiguous_coco_ids(folder)
    return frozenset()


@dataclass
class TrainingCollator:
    """Turn rows into a batch with labels; rows whose image could not be read are left out and named in `skipped`."""

    processor: FlorenzProcessor
    image_size: int | None = None
    features: FeatureCache | None = None
    _grey: Image.Image = field(default_factory=lambda: Image.new("RGB", (32, 32), (128, 128, 128)))

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
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
        cached = self.features.read(keys) if keys else None
        batch = self.processor(
            # A caption without an image is refused there, so that a tiny one stands in for finished image tokens.
            images=[row["image"] for row in rows] if cached is None else self._grey,
            text=[row["source"] or None for row in rows],
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
