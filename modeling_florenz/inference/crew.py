"""Caption with several processes of this machine, one for each GPU or each share of its cores."""

import multiprocessing
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, InvalidStateError, wait
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

import torch

from .block_writer import Block, Written
from .bulk_options import BulkOptions
from .captioner import Captioner
from .process_worker import AT_ONCE, caption_for


_AHEAD = 4  # finished blocks that wait for an earlier one, for each worker


def usual_processes(blocks: int | None) -> int:
    """Return how many processes caption so many blocks: one for each GPU; one where there is none.

    Args:
        blocks: None if it is not known.
    """
    gpus = torch.cuda.device_count()
    return max(1, gpus if blocks is None else min(gpus, blocks))


class Worker(Protocol):
    """Write blocks, elsewhere."""

    def submit(self, block: Block) -> "Future[Written]":
        """Begin a block."""
        ...


def hand_out(workers: Sequence[Worker], blocks: Iterable[Block]) -> Iterator[Written]:
    """Give blocks to whoever is free, and yield what is written in the order of the blocks."""
    at_work: dict[Future[Written], Worker] = {}
    waiting: deque[Future[Written]] = deque()
    for block in blocks:
        if block:
            while len(at_work) == AT_ONCE * len(workers):
                for future in wait(at_work, return_when=FIRST_COMPLETED).done:
                    del at_work[future]
            loads = list(at_work.values())
            worker = min(workers, key=loads.count)
            future = worker.submit(block)
            at_work[future] = worker
        else:
            future = Future()
            future.set_result({})
        waiting.append(future)
        while waiting and (waiting[0].done() or len(waiting) > _AHEAD * len(workers)):
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def check_alike(made: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return what decides the captions of all workers.

    Raises:
        ValueError: they loaded different models.
    """
    first = made[0]
    for other in made[1:]:
        if names := [name for name in first if first[name] != other[name]]:
            raise ValueError(
                f"the workers differ in {', '.join(names)}: give --dtype, and --revision or the same folder"
            )
    return first


class ProcessCrew:
    """Caption in processes, each of which loads the model on a device of its own.

    Args:
        load: makes a `Captioner`, given `device`.
        options: what is written; its workers are shared among the processes.
        processes: how many; on GPUs, they take the GPUs in turn.

    Raises:
        ValueError: the model cannot be loaded, or a process died.
    """

    def __init__(self, load: Callable[..., Captioner], options: BulkOptions, processes: int) -> None:
        share = replace(options, workers=max(1, options.workers // processes))
        threads = max(1, torch.get_num_threads() // processes)
        gpus = torch.cuda.device_count()
        devices = [f"cuda:{number % gpus}" if gpus else None for number in range(processes)]
        self._workers: list[_Process] = []
        try:
            self._workers += [_Process(load, device, threads, share) for device in devices]
            self.made_by = check_alike([worker.made_by() for worker in self._workers])
        except BaseException:
            self.close()
            raise

    def write_all(self, blocks: Iterable[Block]) -> Iterator[Written]:
        """Yield the captions of blocks in order."""
        return hand_out(self._workers, blocks)

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            worker.process.terminate()


class _Process:
    """A process, and a thread that waits for what it writes."""

    def __init__(self, load: Callable[..., Captioner], device: str | None, threads: int, options: BulkOptions) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=caption_for, args=(theirs, load, device, threads, options), daemon=True, name="florenz-caption"
        )
        self.process.start()
        theirs.close()
        self._waiting: dict[int, Future[Written]] = {}
        self._count = 0

    def made_by(self) -> Mapping[str, Any]:
        """Wait until the model is loaded."""
        try:
            made = self.connection.recv()
        except (EOFError, OSError):
            raise _died() from None
        if isinstance(made, str):
            raise ValueError(made)
        threading.Thread(target=self._receive, daemon=True).start()
        return dict(made)

    def submit(self, block: Block) -> "Future[Written]":
        future = Future[Written]()
        self._count += 1
        self._waiting[self._count] = future
        try:
            self.connection.send((self._count, block))
        except OSError:
            # Told where its captions would be taken, behind those of blocks that are finished.
            with suppress(InvalidStateError):
                future.set_exception(_died())
        return future

    def _receive(self) -> None:
        try:
            while True:
                number, written = self.connection.recv()
                future = self._waiting.pop(number)
                if isinstance(written, str):
                    future.set_exception(ValueError(written))
                else:
                    future.set_result(written)
        except (EOFError, OSError):
            for future in list(self._waiting.values()):
                with suppress(InvalidStateError):
                    future.set_exception(_died())


def _died() -> ValueError:
    return ValueError(
        "a process that captioned died: run the command again to go on, with fewer --processes if memory is short"
    )
