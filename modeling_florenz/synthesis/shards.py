"""Run a step over batches of rows into shards: parquet files that are there whole or not at all, and are kept."""

import hashlib
import json
import logging
import multiprocessing
import os
import pickle
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from ..resumable import keep_settings, read_settings, whole_file, write_json


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
    schema: pa.Schema

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
        skipped: rows that were left out.
        kept: shards that were there already.
    """

    name: str
    paths: list[Path]
    digests: list[str]
    counts: list[int]
    skipped: list[Skipped]
    kept: int

    def shards(self, *columns: str) -> list[Shard]:
        """Return all shards, with these columns."""
        return [Shard(path, columns) for path in self.paths]

    def read(self, *columns: str) -> Iterator[Row]:
        """Yield the rows of all shards, one shard at a time in memory."""
        for shard in self.shards(*columns):
            yield from shard.read()

    def reasons(self) -> Counter[str]:
        """Count the rows that were left out, by reason."""
        return Counter(entry.reason for entry in self.skipped)


def digest_of(*parts: Any) -> str:
    """Digest values that JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def run_step(
    step: Step, batches: Iterable[Batch], work: Path, processes: int = 1, total: int | None = None
) -> Finished:
    """Make the shards of a step that are not there yet; a shard of the same inputs is kept.

    Args:
        step: what to run.
        batches: inputs of the shards, in order.
        work: the step's shards are in a folder of its name in here.
        processes: that make shards side by side.
        total: rows of all batches, for the time that is left.

    Raises:
        ValueError: shards are there that were made with other settings, a process died, or see `Step.make`.
    """
    folder = work / step.name
    folder.mkdir(parents=True, exist_ok=True)
    settings = json.loads(json.dumps(step.settings()))
    fix = f"bring it back, or remove {folder} to make this step again"
    keep_settings(folder / "settings.json", settings, f"{folder} holds shards made", fix)
    base, found, done, kept = digest_of(settings), [], {}, 0
    with (
        _Pool(step, processes) as pool,
        tqdm(total=total, desc=step.name, unit=" rows", disable=None, dynamic_ncols=True) as bar,
    ):
        started, made, bytes_ = time.monotonic(), 0, 0
        for number, batch in enumerate(batches):
            path = folder / f"part-{number:05d}.parquet"
            found.append(path)
            if (meta := shard_meta(path)) is not None and meta["inputs"] == batch.digest:
                kept += 1
                bar.update(batch.rows)
                continue
            for finished in pool.submit(number, batch, path, base):
                done[finished] = True
                bar.update(batch.rows)
            made += batch.rows
        for finished in pool.rest():
            done[finished] = True
            bar.update(0)
    if made:
        bytes_ = sum(found[number].stat().st_size for number in done)
        _keep_rate(folder / "rate.json", made, time.monotonic() - started, bytes_)
    metas = [_read_meta(path) for path in found]
    return Finished(
        name=step.name,
        paths=found,
        digests=[meta["content"] for meta in metas],
        counts=[meta["rows"] for meta in metas],
        skipped=[Skipped(*entry) for meta in metas for entry in meta["skipped"]],
        kept=kept,
    )


def shard_meta(path: Path) -> dict[str, Any] | None:
    """Return what a shard says of itself, or None if there is none that can be read."""
    with suppress(OSError, pa.ArrowException, KeyError, ValueError):
        return json.loads(pq.read_schema(path).metadata[_META])
    return None


def rate_of(folder: Path) -> dict[str, float] | None:
    """Return `rows`, `seconds` and `bytes` of the shards that were made so far, or None."""
    path = folder / "rate.json"
    return read_settings(path, "remove it") if path.is_file() else None


def write_shard(path: Path, schema: pa.Schema, made: Made, inputs: str, base: str) -> None:
    """Write a shard, whole or not at all; values that occur several times in a row group are stored once."""
    keys = [str(row.get("key", number)) for number, row in enumerate(made.rows)]
    skipped = [[entry.key, entry.reason, entry.detail, entry.fault] for entry in made.skipped]
    meta = {"inputs": inputs, "content": digest_of(base, inputs, keys), "rows": len(keys), "skipped": skipped}
    table = pa.Table.from_pylist(made.rows, schema=schema)
    table = table.replace_schema_metadata({**(schema.metadata or {}), _META: json.dumps(meta).encode()})
    with whole_file(path) as partial:
        pq.write_table(table, partial, row_group_size=_ROW_GROUP, dictionary_pagesize_limit=1 << 30)


def _read_meta(path: Path) -> dict[str, Any]:
    meta = shard_meta(path)
    if meta is None:
        raise ValueError(f"{path} is broken: remove it, and it is made again")
    return meta


def _keep_rate(path: Path, rows: int, seconds: float, size: int) -> None:
    before = rate_of(path.parent) or {"rows": 0, "seconds": 0.0, "bytes": 0}
    new = {"rows": rows, "seconds": round(seconds, 3), "bytes": size}
    write_json(path, {name: before[name] + value for name, value in new.items()})


class _Pool:
    """Make shards here, or in processes with a few shards waiting."""

    def __init__(self, step: Step, processes: int) -> None:
        self.step, self.processes = step, processes
        self.executor: ProcessPoolExecutor | None = None
        self.waiting: dict[Future[None], int] = {}

    def __enter__(self) -> "_Pool":
        return self

    def __exit__(self, *error: object) -> None:
        if self.executor is not None:
            self.executor.shutdown(wait=not any(error), cancel_futures=True)

    def submit(self, number: int, batch: Batch, path: Path, base: str) -> list[int]:
        """Begin a shard; return the numbers of those that are finished."""
        if self.processes == 1:
            write_shard(path, self.step.schema, self.step.make(*batch.load()), batch.digest, base)
            return [number]
        if self.executor is None:
            context = multiprocessing.get_context("spawn")
            sent = pickle.dumps(self.step)
            self.executor = ProcessPoolExecutor(self.processes, context, _begin, (sent,))
        try:
            self.waiting[self.executor.submit(_make, batch, path, base)] = number
        except BrokenProcessPool:
            raise ValueError(_died(self.step)) from None
        return self._collect(self.processes + 1)

    def rest(self) -> list[int]:
        """Wait for all shards; return the numbers of those that were not returned before."""
        return self._collect(0)

    def _collect(self, most: int) -> list[int]:
        finished: list[int] = []
        while len(self.waiting) > most:
            done, _ = wait(self.waiting, return_when=FIRST_COMPLETED)
            for future in done:
                number = self.waiting.pop(future)
                try:
                    future.result()
                except BrokenProcessPool:
                    raise ValueError(_died(self.step)) from None
                finished.append(number)
        return finished


def _died(step: Step) -> str:
    return f"a process of {step.name} died: run the command again to go on, with fewer --processes if memory is short"


@cache
def _current() -> list[Step]:
    return []


def _begin(sent: bytes) -> None:
    # What libraries have to say while the step is loaded, the driver has said already.
    logging.getLogger().addHandler(logging.NullHandler())
    _current().append(pickle.loads(sent))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    # A driver that is killed would leave its processes waiting for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _make(batch: Batch, path: Path, base: str) -> None:
    step = _current()[0]
    write_shard(path, step.schema, step.make(*batch.load()), batch.digest, base)


def batches_of(sources: Sequence[Finished], *columns: Sequence[str]) -> Iterator[Batch]:
    """Pair the shards of steps that have equally many of them."""
    for number in range(len(sources[0].paths)):
        inputs = tuple(
            Shard(source.paths[number], tuple(names)) for source, names in zip(sources, columns, strict=True)
        )
        yield Batch(digest_of([source.digests[number] for source in sources]), inputs, sources[0].counts[number])
