"""Turn rows into batches."""

import random
import warnings
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from transformers.modeling_outputs import BaseModelOutputWithPooling

from ..processing_florenz import FlorenzProcessor, to_rgb
from .feature_cache import FeatureCache
from .grounding import ground


def _with_rgb(row: dict[str, Any]) -> dict[str, Any]:
    if "image_features" in row:
        return row
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
    with_incorrect: bool = False  # also make `rejected_labels` of the rows' incorrect targets
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
        keys, kept = self._look_up(rows if not nothing else [])
        sources: list[Any] = [row["source"] or None for row in rows]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "targets of more than")  # counted and said before the first step
            batch = self.processor(
                # A caption without an image is refused there: a tiny one stands in for finished image tokens.
                images=self._grey if kept else [row["image"] for row in rows],
                text=sources,
                task=[row["task"] for row in rows],
                language=[row["language"] for row in rows],
                target=[row["target"] for row in rows],
                image_size=self.image_size,
                return_tensors="pt",
            )
        if kept:
            del batch["pixel_values"]
            if len(kept) == len(rows):
                tokens = torch.stack(list(kept.values()))
                batch["mm_encoder_outputs"] = {"image": BaseModelOutputWithPooling(pooler_output=tokens)}
            else:
                images = [row["image"] for number, row in enumerate(rows) if number not in kept]
                batch["pixel_values"] = self.processor(images=images, text="", image_size=self.image_size)[
                    "pixel_values"
                ]
                batch["kept_features"] = kept
        if keys:
            batch["image_keys"] = keys
        if self.with_incorrect and all(row.get("incorrect") for row in rows):
            batch["rejected_labels"] = self._labels(rows)
        if nothing:
            batch["labels"] = torch.full_like(batch["labels"], -100)
        if skipped:
            batch["skipped"] = skipped
        return dict(batch)

    def _look_up(self, rows: list[dict[str, Any]]) -> tuple[list[str], dict[int, torch.Tensor]]:
        """Return the keys of images whose tokens are still to be computed, and the other tokens by their row."""
        keys: list[str] = []
        kept: dict[int, torch.Tensor] = {}
        if self.features is None:
            return keys, kept
        for number, row in enumerate(rows):
            found, key = row.get("image_features"), row.get("image_key", "")
            if found is None and not key:  # drawn, or in a table: named by its pixels
                key = self.features.key(row["image"])
                found = self.features.read(key)
            if found is None:
                keys.append(key)
            else:
                kept[number] = found
        return keys, kept

    def _labels(self, rows: list[dict[str, Any]]) -> torch.Tensor:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "targets of more than")
            return self.processor(
                images=self._grey,
                text=[row["source"] or None for row in rows],
                task=[row["task"] for row in rows],
                language=[row["language"] for row in rows],
                target=[row["incorrect"] for row in rows],
                image_size=self.image_size,
                return_tensors="pt",
            )["labels"]
