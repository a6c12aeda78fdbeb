"""Run a step over batches of rows; shards that are there are kept."""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..resumable import keep_settings, write_json
from .pool import Pool
from .ray_pool import RayPool
from .shards import Batch, Finished, Step, digest_of, rate_of, read_meta, shard_meta


def run_step(
    step: Step, batches: Iterable[Batch], work: Path, processes: int = 1, total: int | None = None, ray: str = ""
) -> Finished:
    """Make the shards of a step that are not there yet; a shard of the same inputs is kept.

    `rate.json` adds up what shards took: the first of each run, which also waits for models and indexes, and the rest.

    Args:
        step: what to run.
        batches: inputs of the shards, in order.
        work: the step's shards are in a folder of its name in here.
        processes: that make shards side by side; actors, with `ray`.
        total: rows of all batches, for the time that is left.
        ray: address of a Ray cluster that makes the shards, in place of processes of this machine.

    Raises:
        ValueError: shards are there that were made with other settings, a process died, or see `Step.make`.
    """
    folder = work / step.name
    folder.mkdir(parents=True, exist_ok=True)
    settings = json.loads(json.dumps(step.settings()))
    fix = f"bring it back, or remove {folder} to make this step again"
    keep_settings(folder / "settings.json", settings, f"{folder} holds shards made", fix)
    base, found, kept = digest_of(settings), [], 0
    pool: Pool | RayPool = RayPool(step, processes, ray) if ray else Pool(step, processes)
    with pool, tqdm(total=total, desc=step.name, unit=" rows", disable=None, dynamic_ncols=True) as bar:
        clock = _Clock(bar)
        for number, batch in enumerate(batches):
            path = folder / f"part-{number:05d}.parquet"
            found.append(path)
            if (meta := shard_meta(path)) is not None and meta["inputs"] == batch.digest:
                kept += 1
                bar.update(batch.rows)
                continue
            clock.rows[number] = batch.rows
            clock.finish(pool.submit(number, batch, path, base))
        for number in pool.rest():
            clock.finish([number])
    if clock.rows:
        size = sum(found[number].stat().st_size for number in clock.rows)
        before = rate_of(folder) or {}
        new = clock.rate() | {"bytes": size}
        write_json(folder / "rate.json", {name: round(before.get(name, 0) + value, 3) for name, value in new.items()})
    metas = [read_meta(path) for path in found]
    return Finished(
        name=step.name,
        paths=found,
        digests=[meta["content"] for meta in metas],
        counts=[meta["rows"] for meta in metas],
        kept=kept,
    )


class _Clock:
    """Time the first shard that is made, which waits for models and indexes, and those after it."""

    def __init__(self, bar: Any) -> None:
        self.bar, self.rows, self.started = bar, dict[int, int](), time.monotonic()
        self.first: tuple[int, float] | None = None

    def finish(self, numbers: list[int]) -> None:
        """Count shards that are finished."""
        rows = sum(self.rows[number] for number in numbers)
        if numbers and self.first is None:
            self.first = rows, time.monotonic() - self.started
        self.bar.update(rows)

    def rate(self) -> dict[str, float]:
        """Return rows and seconds of both."""
        rows, seconds = self.first or (0, 0.0)
        rest = time.monotonic() - self.started - seconds
        return {
            "runs": 1,
            "first_rows": rows,
            "first_seconds": seconds,
            "rows": sum(self.rows.values()) - rows,
            "seconds": rest,
        }
