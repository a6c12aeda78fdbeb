"""Run a step over batches of rows; shards that are there are kept."""

import json
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from tqdm import tqdm

from ..resumable import keep_settings, write_json
from .pool import Pool
from .shards import Batch, Finished, Step, digest_of, rate_of, read_meta, shard_meta


def run_step(
    step: Step, batches: Iterable[Batch], work: Path, processes: int = 1, total: int | None = None
) -> Finished:
    """Make the shards of a step that are not there yet; a shard of the same inputs is kept.

    `rate.json` adds up what shards took: the first of each run, which also waits for models and indexes, and the rest.

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
    base, found, kept, first = digest_of(settings), [], 0, 0
    new: list[int] = []
    with (
        Pool(step, processes) as pool,
        tqdm(total=total, desc=step.name, unit=" rows", disable=None, dynamic_ncols=True) as bar,
    ):
        clock, made = [time.monotonic()], {}
        for number, batch in enumerate(batches):
            path = folder / f"part-{number:05d}.parquet"
            found.append(path)
            if (meta := shard_meta(path)) is not None and meta["inputs"] == batch.digest:
                kept += 1
                bar.update(batch.rows)
                continue
            made[number] = batch.rows
            new += pool.submit(number, batch, path, base)
            if new and len(clock) == 1:
                clock.append(time.monotonic())
                first = sum(made[done] for done in new)
            bar.update(batch.rows)
        new += pool.rest()
    if made:
        clock.append(time.monotonic())
        size = sum(found[number].stat().st_size for number in new)
        _keep_rate(folder / "rate.json", clock, first, sum(made.values()), size)
    metas = [read_meta(path) for path in found]
    return Finished(
        name=step.name,
        paths=found,
        digests=[meta["content"] for meta in metas],
        counts=[meta["rows"] for meta in metas],
        kept=kept,
    )


def _keep_rate(path: Path, clock: list[float], first: int, rows: int, size: int) -> None:
    before = rate_of(path.parent) or {}
    seconds = [later - earlier for earlier, later in pairwise(clock)]
    new = {"runs": 1, "first_rows": first, "first_seconds": seconds[0], "bytes": size}
    new |= {"rows": rows - first, "seconds": sum(seconds[1:])}
    write_json(path, {name: round(before.get(name, 0) + value, 3) for name, value in new.items()})
