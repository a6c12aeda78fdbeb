"""Make shards in this process or in several."""

import logging
import multiprocessing
import pickle
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from pathlib import Path

from ..parent_process import end_with_parent
from .shards import Batch, Step, write_shard


class Pool:
    """Make shards here, or in processes with a few shards waiting."""

    def __init__(self, step: Step, processes: int) -> None:
        self.step, self.processes = step, processes
        self.executor: ProcessPoolExecutor | None = None
        self.waiting: dict[Future[None], int] = {}

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *error: object) -> None:
        if self.executor is not None:
            self.executor.shutdown(wait=not any(error), cancel_futures=True)

    def submit(self, number: int, batch: Batch, path: Path, base: str) -> list[int]:
        """Begin a shard; return the numbers of those that are finished."""
        if self.processes == 1:
            write_shard(path, self.step.schema, self.step.make(*batch.load()), batch, base)
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

    def rest(self) -> Iterator[int]:
        """Yield the numbers of the shards that were not returned before, as they are finished."""
        while self.waiting:
            yield from self._collect(len(self.waiting) - 1)

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
    end_with_parent()


def _make(batch: Batch, path: Path, base: str) -> None:
    step = _current()[0]
    write_shard(path, step.schema, step.make(*batch.load()), batch, base)
