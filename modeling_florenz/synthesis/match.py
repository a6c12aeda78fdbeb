"""Match sentence pairs to images: an index over the images, and sentences streamed past it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..extras import install_command
from .embed import Embedder, Vectors, load_embedder
from .recipe import Match
from .shards import Batch, Finished, Made, Row, Shard, digest_of


class ImageIndex:
    """Find the images that are closest to a sentence, exactly, by the inner product of unit vectors.

    Args:
        keys: of the images.
        vectors: of shape (images, width), of unit length.

    Example:

    ```python
    >>> index = ImageIndex(["a", "b"], np.eye(2, dtype=np.float32))
    >>> index.closest(np.array([[0.8, 0.6]], np.float32), top=1, threshold=0.5)[0][0][0]
    'a'
    ```
    """

    def __init__(self, keys: Sequence[str], vectors: Vectors) -> None:
        self.keys = list(keys)
        self._index: Any = _faiss().IndexFlatIP(vectors.shape[1])
        self._index.add(np.ascontiguousarray(vectors, np.float32))

    def closest(self, queries: Vectors, top: int, threshold: float) -> list[list[tuple[str, float]]]:
        """Return, for each query, at most `top` images with a cosine of at least `threshold`, the closest first.

        Raises:
            ValueError: the queries are of another width than the images.
        """
        if queries.shape[1] != self._index.d:
            raise ValueError(f"sentences have {queries.shape[1]} values and images {self._index.d}: use one model")
        scores, places = self._index.search(np.ascontiguousarray(queries, np.float32), min(top, len(self.keys)))
        return [
            [
                (self.keys[place], float(score))
                for score, place in zip(line, found, strict=True)
                if place >= 0 and score >= threshold
            ]
            for line, found in zip(scores, places, strict=True)
        ]


@dataclass
class MatchPairs:
    """Find images for sentence pairs by their English side."""

    options: Match
    paths: list[Path] = field(default_factory=list)

    name = "match"
    schema = pa.schema(
        {
            "key": pa.string(),
            "image": pa.string(),
            "score": pa.float32(),
            "language": pa.string(),
            "english": pa.string(),
            "target": pa.string(),
        }
    )

    def settings(self) -> Row:
        """Return model, number of images and threshold."""
        return {name: getattr(self.options, name) for name in ("model", "top", "threshold")}

    def make(self, *inputs: list[Row]) -> Made:
        """Match the sentence pairs of a shard."""
        made, rows = Made(), inputs[0]
        vectors = self._embedder.texts([row["english"] for row in rows]) if rows else np.zeros((0, 1))
        matches = self._index.closest(vectors, self.options.top, self.options.threshold) if rows else []
        for row, found in zip(rows, matches, strict=True):
            if not found:
                made.skip(row["key"], "no image close enough")
            texts = {name: row[name] for name in ("language", "english", "target")}
            made.rows += [{"key": row["key"], "image": image, "score": score, **texts} for image, score in found]
        return made

    @cached_property
    def _embedder(self) -> Embedder:
        return load_embedder(self.options.model, self.options.batch_size)

    @cached_property
    def _index(self) -> ImageIndex:
        keys: list[str] = []
        vectors: list[Vectors] = []
        for path in self.paths:
            table = pq.read_table(path)
            keys += table["key"].to_pylist()
            flat = table["vector"].combine_chunks().flatten().to_numpy()
            if len(table):
                vectors.append(flat.reshape(len(table), -1))
        if not keys:
            raise ValueError("no image is left to match sentences to: see what was taken out")
        return ImageIndex(keys, np.concatenate(vectors))


def match_batches(pairs: Finished, images: Finished) -> list[Batch]:
    """Pair each shard of sentence pairs with all images, to be matched."""
    all_images = digest_of(images.digests)
    return [
        Batch(digest_of([digest, all_images]), (Shard(path, ("key", "language", "english", "target")),), count)
        for path, digest, count in zip(pairs.paths, pairs.digests, pairs.counts, strict=True)
    ]


def _faiss() -> Any:
    try:
        import faiss
    except ImportError:
        raise ValueError(f"matching needs faiss: {install_command('synthesis')}") from None
    return faiss
