"""The process that holds the model: it takes what waits, and answers it in one search."""

import logging
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from queue import Empty
from typing import Any

import torch
from litserve import LitAPI
from litserve.loops.base import LitLoop
from litserve.utils import LitAPIStatus, LoopResponseType
from PIL import Image

from ...parent_process import end_with_parent
from ..captioner import Captioner
from ..together import Request, image_tokens, write_texts
from .jobs import Failure, Growth, Job, Result


logger = logging.getLogger(__name__)

STOP = None  # on the queue: there are no more jobs

Entry = tuple[int, str, float, Job]  # consumer, identity, time, job: as LitServe's own loops have it
Send = Callable[[int, Any], None]


class FlorenzAPI(LitAPI):
    """Load a model in a process of its own and answer batches of jobs.

    Args:
        model: arguments of the `Captioner`.
        num_beams: of the searches whose texts are not streamed.
        while_loading: what the model is loaded within.
        kwargs: see `LitAPI`.
    """

    def __init__(
        self,
        model: dict[str, Any],
        num_beams: int,
        while_loading: Callable[[], AbstractContextManager],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._model, self._num_beams, self._while_loading = model, num_beams, while_loading
        self._captioner: Captioner | None = None

    def setup(self, device: str) -> None:
        """Load the model."""
        # The server says when there are no more jobs. Signals come to all processes of a group or a service at once.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        end_with_parent()
        with self._while_loading():
            self._captioner = Captioner(**self._model, device=device)

    def predict(self, jobs: Sequence[Job], send: Send) -> None:
        """Answer jobs together.

        Args:
            jobs: of any tasks and languages.
            send: called with the number of a job and what it answers: how far a streamed text has come, and at the
                end its result.
        """
        assert self._captioner is not None
        started, answers = time.monotonic(), _answer(self._captioner, jobs, self._num_beams, send)
        rows, seconds = sum(job.rows for job in jobs), time.monotonic() - started
        for number, values in enumerate(answers):
            send(number, Result(values, rows, seconds))


class BatchLoop(LitLoop):
    """Wait for a job without polling, then a little for others, and answer them together."""

    def __call__(
        self,
        lit_api: FlorenzAPI,
        device: str,
        worker_id: int,
        request_queue: Any,
        transport: Any,
        workers_setup_status: Any,
        callback_runner: Any,
    ) -> None:
        """Answer jobs until there are no more."""

        def send_to(entry: Entry) -> Callable[[Any], None]:
            consumer, uid, _, _ = entry
            status, kind = LitAPIStatus.OK, LoopResponseType.STREAMING
            return lambda answer: self.put_response(transport, consumer, uid, answer, status, kind)

        for batch in _batches(request_queue, lit_api.max_batch_size, lit_api.batch_timeout):
            now = time.monotonic()
            for entry in batch:
                if entry[3].deadline <= now:
                    send_to(entry)(Failure("it waited for too long"))
            jobs = [entry for entry in batch if entry[3].deadline > now]
            _answer_batch(lit_api, [entry[3] for entry in jobs], [send_to(entry) for entry in jobs])


def _answer_batch(api: FlorenzAPI, jobs: Sequence[Job], senders: Sequence[Callable[[Any], None]]) -> None:
    """Answer jobs together; where that fails, answer each alone, so that no job fails another."""
    try:
        if jobs:
            api.predict(jobs, lambda number, answer: senders[number](answer))
    except Exception as error:
        if len(jobs) > 1:
            for job, sender in zip(jobs, senders, strict=True):
                _answer_batch(api, [job], [sender])
            return
        logger.exception("a job failed")
        senders[0](Failure(f"the model failed with {type(error).__name__}"))


def _batches(queue: Any, most: int, wait: float) -> Iterator[list[Entry]]:
    """Yield the entries of a queue in batches of at most so many rows; a larger job is a batch of its own."""
    held: Entry | None = None
    batch: list[Entry]
    while True:
        entry = queue.get() if held is None else held
        held, batch, rows, until = None, [], 0, time.monotonic() + wait
        while entry is not STOP:
            if batch and rows + entry[3].rows > most:
                held = entry
                break
            batch.append(entry)
            rows += entry[3].rows
            if rows >= most:
                break
            try:
                # What waits already is taken even when the time is over.
                entry = queue.get(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                break
        yield batch
        if entry is STOP:
            return


def _answer(captioner: Captioner, jobs: Sequence[Job], num_beams: int, send: Send) -> list[list[Any]]:
    """Return what each job asks for: texts, or mean log-probabilities of its candidates."""
    features, rows = _see(captioner, jobs)
    answers: list[list[Any]] = [[] for _ in jobs]
    for number, job in enumerate(jobs):
        if job.candidates:
            [text] = job.texts
            image = None if job.image is None else _image(job.image)
            scores = captioner.score(image, text.source or "", text.language, job.candidates)
            answers[number] = [score.mean_log_probability for score in scores]
    for is_streamed in (True, False):
        for has_image in (True, False):
            asked = [
                (number, Request(rows.get(number, 0), text.task, text.language, text.source, text.prefix))
                for number, job in enumerate(jobs)
                if job.is_streamed == is_streamed and (number in rows) == has_image and not job.candidates
                for text in job.texts
            ]
            if not asked:
                continue
            numbers = [number for number, _ in asked]

            def watch(row: int, text: str, numbers: list[int] = numbers) -> None:
                send(numbers[row], Growth(text))

            written = write_texts(
                captioner,
                features if has_image else None,
                [request for _, request in asked],
                1 if is_streamed else num_beams,
                watch if is_streamed else None,
            )
            for number, value in zip(numbers, written, strict=True):
                answers[number].append(value)
    return answers


def _see(captioner: Captioner, jobs: Sequence[Job]) -> tuple[torch.Tensor | None, dict[int, int]]:
    """Run the tower once on each image that texts are to be written about; return the row of each job's."""
    images: dict[bytes, int] = {}
    rows = {
        number: images.setdefault(job.image, len(images))
        for number, job in enumerate(jobs)
        if job.image is not None and not job.candidates
    }
    if not images:
        return None, rows
    pixels = captioner.processor(images=[_image(image) for image in images], text="")["pixel_values"]
    return image_tokens(captioner, pixels), rows


def _image(values: bytes) -> Image.Image:
    side = round((len(values) / 3) ** 0.5)
    return Image.frombytes("RGB", (side, side), values)
