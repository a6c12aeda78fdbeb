"""Hold rows in shards: parquet files that are there whole or not at all, and say what they were made of."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from ..resumable import read_settings, whole_file


Row = dict[str, Any]
_META = b"modeling_florenz"
_ROW_GROUP = 128


@dataclass(frozen=True)
class Skipped:
    """Name a row that was left out.

    Args:
        key: of the row.
        reason: of its kind, for the table of counts.
        detail: what is wrong with this one.
        fault: whether something is broken; False for what a filter takes out.
    """

    key: str
    reason: str
    detail: str = ""
    fault: bool = False


@dataclass
class Made:
    """Hold what a step made of a batch."""

    rows: list[Row] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def skip(self, key: str, reason: str, detail: str = "", fault: bool = False) -> None:
        """Leave a row out."""
        self.skipped.append(Skipped(key, reason, " ".join(detail.split())[:300], fault))


@dataclass(frozen=True)
class Shard:
    """Name columns of a shard, to be read where the step runs; all of them if none is named."""

    path: Path
    columns: tuple[str, ...] = ()

    def read(self) -> list[Row]:
        """Return its rows."""
        return pq.read_table(self.path, columns=list(self.columns) or None, memory_map=True).to_pylist()


@dataclass(frozen=True)
class Batch:
    """Hold the inputs of one shard, and the digest of what they hold."""

    digest: str
    inputs: tuple[Shard | list[Row], ...]
    rows: int

    def load(self) -> list[list[Row]]:
        """Read the inputs."""
        return [entry.read() if isinstance(entry, Shard) else entry for entry in self.inputs]


class Step(Protocol):
    """A step: a function of rows, with the settings that it depends on. It is sent to other processes unused."""

    name: str

    @property
    def schema(self) -> pa.Schema:
        """Return the columns of its shards."""
        ...

    def settings(self) -> Row:
        """Return all that its rows depend on besides the inputs."""
        ...

    def make(self, *inputs: list[Row]) -> Made:
        """Make the rows of a shard.

        Raises:
            ValueError: nothing can be made, of this shard or of any.
        """
        ...


@dataclass(frozen=True)
class Finished:
    """Hold the shards of a step.

    Args:
        paths: of the shards, in order.
        digests: of what they hold.
        counts: rows in each.
        kept: shards that were there already.
    """

    name: str
    paths: list[Path]
    digests: list[str]
    counts: list[int]
    kept: int

    def shards(self, *columns: str) -> list[Shard]:
        """Return all shards, with these columns."""
        return [Shard(path, columns) for path in self.paths]

    def read(self, *columns: str) -> Iterator[Row]:
        """Yield the rows of all shards, one shard at a time in memory."""
        for shard in self.shards(*columns):
            yield from shard.read()

    def skipped(self) -> Iterator[Skipped]:
        """Yield the rows that were left out, one shard's at a time in memory."""
        for path in self.paths:
            yield from (Skipped(*entry) for entry in read_meta(path)["skipped"])

    def reasons(self) -> Counter[str]:
        """Count the rows that were left out, by reason."""
        return Counter(entry.reason for entry in self.skipped())


def digest_of(*parts: Any) -> str:
    """Digest values that JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def shard_meta(path: Path) -> dict[str, Any] | None:
    """Return what a shard says of itself, or None if there is none that can be read."""
    with suppress(OSError, pa.ArrowException, KeyError, ValueError):
        return json.loads(pq.read_schema(path).metadata[_META])
    return None


def rate_of(folder: Path) -> dict[str, float] | None:
    """Return what the shards took that were made so far, see `run_step`, or None."""
    path = folder / "rate.json"
    return read_settings(path, "remove it") if path.is_file() else None


def write_shard(path: Path, schema: pa.Schema, made: Made, batch: Batch, base: str) -> None:
    """Write the shard of a batch, whole or not at all; values that a row group has several times are stored once."""
    keys = [str(row.get("key", number)) for number, row in enumerate(made.rows)]
    skipped = [[entry.key, entry.reason, entry.detail, entry.fault] for entry in made.skipped]
    content = digest_of(base, batch.digest, keys)
    meta = {"inputs": batch.digest, "content": content, "read": batch.rows, "rows": len(keys), "skipped": skipped}
    schema = schema.with_metadata({**(schema.metadata or {}), _META: json.dumps(meta).encode()})
    with whole_file(path) as partial, pq.ParquetWriter(partial, schema, dictionary_pagesize_limit=1 << 30) as writer:
        # Row group by row group: all rows of an image repeat it in memory.
        for start in range(0, len(made.rows), _ROW_GROUP):
            writer.write_table(pa.Table.from_pylist(made.rows[start : start + _ROW_GROUP], schema=schema))


def read_meta(path: Path) -> dict[str, Any]:
    """Return what a shard that was made says of itself.

    Raises:
        ValueError: it cannot be read.
    """
    meta = shard_meta(path)
    if meta is None:
        raise ValueError(f"{path} is broken: remove it, and it is made again")
    return meta


def batches_of(sources: Sequence[Finished], *columns: Sequence[str]) -> Iterator[Batch]:
    """Pair the shards of steps that have equally many of them."""
    for number in range(len(sources[0].paths)):
        inputs = tuple(
            Shard(source.paths[number], tuple(names)) for source, names in zip(sources, columns, strict=True)
        )
        yield Batch(digest_of([source.digests[number] for source in sources]), inputs, sources[0].counts[number])
