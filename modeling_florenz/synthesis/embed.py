"""Embed images and sentences in one space: by CLIP or SigLIP, or by the things that emoji scenes show."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import torch

from .models import load_model, world
from .recipe import SCENES
from .shards import Made, Row
from .sources import SCENES_NAMED, decoded


Vectors = np.ndarray[Any, Any]


class Embedder(Protocol):
    """Make vectors of images and of English sentences whose product says how well they fit."""

    def images(self, rows: Sequence[Row]) -> Vectors:
        """Embed images that have a name and bytes."""
        ...

    def texts(self, texts: Sequence[str]) -> Vectors:
        """Embed English sentences."""
        ...


def load_embedder(name: str, batch_size: int) -> Embedder:
    """Load what a recipe names."""
    return SceneEmbedder() if name == SCENES else ContrastiveEmbedder(name, batch_size)


class ContrastiveEmbedder:
    """Embed by a model of transformers with `get_image_features` and `get_text_features`."""

    def __init__(self, name: str, batch_size: int) -> None:
        from transformers import AutoModel, AutoProcessor

        self.name, self.batch_size = name, batch_size
        self.model, self.processor = load_model(AutoModel, AutoProcessor, name)
        if not hasattr(self.model, "get_image_features") or not hasattr(self.model, "get_text_features"):
            raise ValueError(f"match.model: {name} does not embed images and texts: take a CLIP or SigLIP")

    def images(self, rows: Sequence[Row]) -> Vectors:
        def embed(part: Sequence[Row]) -> Any:
            inputs = self.processor(images=[decoded(row["bytes"]) for row in part], return_tensors="pt")
            return self.model.get_image_features(**inputs.to(self.model.device, self.model.dtype))

        return self._all(rows, embed)

    def texts(self, texts: Sequence[str]) -> Vectors:
        # SigLIP learned from texts padded to the end.
        padding = "max_length" if "siglip" in self.model.config.model_type else True

        def embed(part: Sequence[str]) -> Any:
            inputs = self.processor(text=list(part), padding=padding, truncation=True, return_tensors="pt")
            return self.model.get_text_features(**inputs.to(self.model.device))

        return self._all(texts, embed)

    def _all(self, entries: Sequence[Any], embed: Any) -> Vectors:
        parts = []
        for start in range(0, len(entries), self.batch_size):
            with torch.inference_mode():
                found = embed(entries[start : start + self.batch_size])
            found = found if isinstance(found, torch.Tensor) else found.pooler_output
            parts.append(found.float().cpu().numpy())
        return unit(np.concatenate(parts), self.name)


class SceneEmbedder:
    """Embed emoji scenes and sentences by things: the product is the share of what a sentence names that is shown."""

    def images(self, rows: Sequence[Row]) -> Vectors:
        found = np.zeros((len(rows), len(world().nouns)), np.float32)
        for number, row in enumerate(rows):
            scene = world().scene("train", int(row["name"].removeprefix(SCENES_NAMED)))
            found[number, list(scene.nouns)] = 1
        return found

    def texts(self, texts: Sequence[str]) -> Vectors:
        found = np.zeros((len(texts), len(world().nouns)), np.float32)
        names = [noun.names["en"] for noun in world().nouns]
        for number, text in enumerate(texts):
            words = text.removesuffix(".").replace("A picture of ", "").replace(" and ", ", ").split(", ")
            found[number, [names.index(word) for word in words if word in names]] = 1 / len(words)
        return found


def unit(vectors: Vectors, model: str) -> Vectors:
    """Bring vectors to unit length; those of zeros stay.

    Raises:
        ValueError: a value is not a finite number.
    """
    if not np.isfinite(vectors).all():
        bad = int((~np.isfinite(vectors).all(axis=1)).sum())
        raise ValueError(f"{model} gives {bad} of {len(vectors)} embeddings that are not finite numbers: take another")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.where(lengths == 0, 1, lengths), dtype=np.float32)


@dataclass
class EmbedImages:
    """Embed the images that are kept."""

    model: str
    batch_size: int

    name = "embed"
    schema = pa.schema({"key": pa.string(), "vector": pa.list_(pa.float32())})

    def settings(self) -> Row:
        """Return the model."""
        return {"model": self.model}

    def make(self, *inputs: list[Row]) -> Made:
        """Embed the images of a shard; the second input says which ones."""
        kept = {row["key"] for row in inputs[1]}
        rows = [row for row in inputs[0] if row["key"] in kept]
        vectors = self._embedder.images(rows) if rows else np.zeros((0, 1), np.float32)
        return Made([{"key": row["key"], "vector": list(vector)} for row, vector in zip(rows, vectors, strict=True)])

    @cached_property
    def _embedder(self) -> Embedder:
        return load_embedder(self.model, self.batch_size)
