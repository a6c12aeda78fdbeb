"""Hand jobs to the model's process, no more than may wait, and pass on what comes back."""

import asyncio
import math
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from litserve.specs.base import LitSpec
from litserve.utils import ResponseBufferItem

from .failures import RequestError
from .jobs import Failure, Growth, Job, Result
from .metrics import Metrics


@dataclass
class Place:
    """Hold a place in the line, from before an image is decoded until the model is done.

    Args:
        rows: of the job to come.
        deadline: on the monotonic clock.
        is_used: whether the job is handed in; its end then gives the place up.
    """

    rows: int
    deadline: float
    is_used: bool = False

    @property
    def seconds_left(self) -> float:
        """Return how long an answer may still take."""
        return self.deadline - time.monotonic()


class Office(LitSpec):
    """Stand between HTTP and the model.

    Args:
        most_rows: that may wait; further jobs are turned away.
        seconds: that a job may take, waiting included.
        metrics: to count in.
    """

    def __init__(self, most_rows: int, seconds: float, metrics: Metrics) -> None:
        super().__init__()
        self.api_path = "/jobs"  # LitServe's name for the queue; nothing is served there
        self.metrics = metrics
        self._most_rows, self._seconds = most_rows, seconds
        self._rows, self._row_seconds = 0, 0.05
        self._followers: set[asyncio.Task[None]] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Leave all of it here when LitServe copies its parts to the model's process."""
        return {"api_path": self.api_path}

    @property
    def stream(self) -> bool:
        """Receive any number of answers to a job."""
        return True

    @contextmanager
    def place(self, rows: int) -> Iterator[Place]:
        """Take a place in the line; it is given up at the end if no job was handed in at it.

        Raises:
            RequestError: too much waits already (429).
        """
        if self._rows and self._rows + rows > self._most_rows:
            wait = max(1, math.ceil(self._rows * self._row_seconds))
            raise RequestError(429, f"{self._rows} texts wait already: try again in {wait} s", retry_after=wait)
        self._count(rows)
        place = Place(rows, time.monotonic() + self._seconds)
        try:
            yield place
        finally:
            if not place.is_used:
                self._count(-rows)

    def late(self) -> RequestError:
        """Return what is to be said when the time is over."""
        return RequestError(504, f"no answer within {self._seconds:g} s: try again later")

    async def answers(self, job: Job, place: Place) -> AsyncIterator[Growth | Result]:
        """Yield how far the text of a streamed job has come, and its result at the end.

        Raises:
            RequestError: the time is over (504), or the model failed (500).
        """
        place.is_used = True
        answers: asyncio.Queue[Growth | Result | Failure] = asyncio.Queue()
        # Goes on when the reader leaves: what the model still has to do counts until it is done.
        follower = asyncio.create_task(self._follow(replace(job, deadline=place.deadline), answers))
        self._followers.add(follower)
        follower.add_done_callback(self._followers.discard)
        while True:
            try:
                answer = await asyncio.wait_for(answers.get(), place.seconds_left)
            except TimeoutError:
                raise self.late() from None
            if isinstance(answer, Failure):
                raise RequestError(500, answer.reason)
            yield answer
            if isinstance(answer, Result):
                return

    async def result(self, job: Job, place: Place) -> Result:
        """Return the result of a job."""
        async for answer in self.answers(job, place):
            if isinstance(answer, Result):
                return answer
        raise AssertionError("answers end with a result or an exception")

    async def _follow(self, job: Job, answers: "asyncio.Queue[Growth | Result | Failure]") -> None:
        """Hand a job in and pass on all that comes back, until the model is done with it."""
        uid, received, buffer = str(uuid.uuid4()), asyncio.Event(), deque[Any]()
        self.response_buffer[uid] = ResponseBufferItem(event=received, response_queue=buffer)
        try:
            await asyncio.to_thread(self.request_queue.put, (self.response_queue_id, uid, time.monotonic(), job))
            answer: Any = None
            while not isinstance(answer, Result | Failure):
                await received.wait()
                received.clear()
                while buffer:
                    answer, _ = buffer.popleft()
                    answers.put_nowait(answer)
            if isinstance(answer, Result):
                self._learn(answer)
        finally:
            del self.response_buffer[uid]
            self._count(-job.rows)

    def _count(self, rows: int) -> None:
        self._rows += rows
        self.metrics.waiting.set(self._rows)

    def _learn(self, result: Result) -> None:
        self.metrics.batch_rows.observe(result.rows)
        self.metrics.batch_seconds.observe(result.seconds)
        self._row_seconds += 0.1 * (result.seconds / result.rows - self._row_seconds)
