"""A step whose shards take a while, run by itself: slow_steps.py FOLDER SHARDS SECONDS PROCESSES RAY [burn]."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from modeling_florenz.synthesis.run_step import run_step
from modeling_florenz.synthesis.shards import Batch, Made, digest_of


@dataclass
class Slow:
    """Square numbers, with time between: asleep, or at work."""

    seconds: float
    burn: bool = False

    name = "slow"
    schema = pa.schema({"key": pa.string(), "value": pa.int64()})

    def settings(self) -> dict:
        return {}

    def make(self, rows: list[dict]) -> Made:
        if self.burn:
            end = time.process_time() + self.seconds
            while time.process_time() < end:
                sum(range(1000))
        else:
            time.sleep(self.seconds)
        return Made([{"key": row["key"], "value": row["value"] ** 2} for row in rows])


def slow_batches(count: int) -> Iterator[Batch]:
    """Yield batches of four numbers."""
    for start in range(0, 4 * count, 4):
        rows = [{"key": str(value), "value": value} for value in range(start, start + 4)]
        yield Batch(digest_of(rows), (rows,), len(rows))


if __name__ == "__main__":
    folder, shards, seconds, processes, ray, *burn = sys.argv[1:]
    before = time.monotonic()
    try:
        done = run_step(
            Slow(float(seconds), bool(burn)), slow_batches(int(shards)), Path(folder), int(processes), ray=ray
        )
    except ValueError as error:
        sys.exit(f"{error}")
    print(sum(done.counts), done.kept, round(time.monotonic() - before, 2))
