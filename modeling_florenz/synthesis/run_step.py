"""Run a step over batches of rows; shards that are there are kept."""

import json
import time
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from ..resumable import keep_settings, write_json
from .pool import Pool
from .shards import Batch, Finished, Skipped, Step, digest_of, rate_of, read_meta, shard_meta


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
    base, found, kept = digest_of(settings), [], 0
    new: list[int] = []
    with (
        Pool(step, processes) as pool,
        tqdm(total=total, desc=step.name, unit=" rows", disable=None, dynamic_ncols=True) as bar,
    ):
        started, made = time.monotonic(), 0
        for number, batch in enumerate(batches):
            path = folder / f"part-{number:05d}.parquet"
            found.append(path)
            if (meta := shard_meta(path)) is not None and meta["inputs"] == batch.digest:
                kept += 1
                bar.update(batch.rows)
                continue
            new += pool.submit(number, batch, path, base)
            made += batch.rows
            bar.update(batch.rows)
        new += pool.rest()
    if made:
        size = sum(found[number].stat().st_size for number in new)
        _keep_rate(folder / "rate.json", made, time.monotonic() - started, size)
    metas = [read_meta(path) for path in found]
    return Finished(
        name=step.name,
        paths=found,
        digests=[meta["content"] for meta in metas],
        counts=[meta["rows"] for meta in metas],
        skipped=[Skipped(*entry) for meta in metas for entry in meta["skipped"]],
        kept=kept,
    )


def _keep_rate(path: Path, rows: int, seconds: float, size: int) -> None:
    before = rate_of(path.parent) or {"rows": 0, "seconds": 0.0, "bytes": 0}
    new = {"rows": rows, "seconds": round(seconds, 3), "bytes": size}
    write_json(path, {name: before[name] + value for name, value in new.items()})
