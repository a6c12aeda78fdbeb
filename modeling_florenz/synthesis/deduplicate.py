"""Take out images that are there already, or in an evaluation set."""

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from .evaluation_sets import EvaluationSets
from .near_images import NearImages
from .shards import Batch, Finished, Made, Row, Shard, digest_of


_COLUMNS = ("key", "hash", "grey")


@dataclass
class DropImages:
    """Keep the first version of every image that no evaluation set shows.

    One process does this, shard after shard: each is compared with all before it.
    """

    tested: EvaluationSets
    _near: NearImages | None = field(default=None, repr=False)
    _keys: set[str] = field(default_factory=set, repr=False)
    _seen: int = 0

    name = "deduplicate"
    schema = pa.schema({"key": pa.string()})

    def settings(self) -> Row:
        """Return the evaluation sets."""
        return {"evaluation": self.tested.settings()}

    def make(self, *inputs: list[Row]) -> Made:
        """Decide on the images of a shard; the second input names the shards before it."""
        rows, before = inputs
        if self._near is None:
            self._near = NearImages()
        for earlier in before[self._seen :]:
            # Shards that an earlier run finished.
            self._decide(Shard(Path(earlier["path"]), _COLUMNS).read(), Made())
        made = Made()
        self._decide(rows, made)
        self._seen = len(before) + 1
        return made

    def _decide(self, rows: list[Row], made: Made) -> None:
        assert self._near is not None
        for row in rows:
            if row["key"] in self._keys:
                made.skip(row["key"], "the same image file again")
            elif tested := self.tested.images.find(row["hash"], row["grey"]):
                made.skip(row["key"], f"image in the evaluation set {tested}")
            elif self._near.find(row["hash"], row["grey"]):
                made.skip(row["key"], "another version of an image")
            else:
                self._near.add([(row["hash"], row["grey"], row["key"])])
                made.rows.append({"key": row["key"]})
            self._keys.add(row["key"])


def drop_batches(images: Finished) -> list[Batch]:
    """Pair each shard of images with those before it."""
    return [
        Batch(
            digest_of(images.digests[: number + 1]),
            (Shard(path, _COLUMNS), [{"path": str(earlier)} for earlier in images.paths[:number]]),
            images.counts[number],
        )
        for number, path in enumerate(images.paths)
    ]
