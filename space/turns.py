"""Share the model between visitors: one computes at a time, and gives way between two layers when others wait."""

import functools
import inspect
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from gradio.context import LocalContext
from limits import ASKED_AT_ONCE, BEGUN, PATIENCE_SECONDS, TURN_SECONDS


@dataclass(eq=False)
class Work:
    """Hold what a client has to compute.

    Args:
        patient: whether it waits for everything else, as a batch does.
    """

    client: str
    patient: bool
    begun: bool = False
    done: bool = False
    hurries: bool = False  # it keeps its turn against all others
    since: float = field(default_factory=time.monotonic)  # waiting, or at the model


class Turns:
    """Let one client after the other use the model.

    Args:
        begun: how much work is begun and not done at a time; each piece keeps its memory.
        each: requests of a client that may be here, waiting or in work.
        turn: seconds after which work gives way to that of other clients.
        patience: seconds that patient work waits for other work at most, between two turns.
    """

    def __init__(self, begun: int, each: int, turn: float, patience: float) -> None:
        self.begun, self.each, self.turn, self.patience = begun, each, turn, patience
        self._changed = threading.Condition()
        self._here: Counter[str] = Counter()
        self._waiting: list[Work] = []
        self._at_model: Work | None = None
        self._last: dict[str, float] = {}  # of clients that are here: when their last turn began or ended

    @contextmanager
    def admit(self, client: str) -> Iterator[None]:
        """Count a request of a client while it is here.

        Raises:
            gr.Error: the client has as many requests here as it may.
        """
        with self._changed:
            if self._here[client] >= self.each:
                sentence = f"You have {self.each} requests here already: wait until one of them is done."
                raise gr.Error(sentence, print_exception=False)
            self._here[client] += 1
        try:
            yield
        finally:
            with self._changed:
                self._here[client] -= 1
                if not self._here[client]:
                    del self._here[client]
                self._forget(client)

    @contextmanager
    def take(self, client: str, patient: bool = False) -> Iterator[Callable[..., Any]]:
        """Wait for the client's turn; yield what calls a function that computes, and gives way meanwhile.

        Args:
            patient: wait for all other work.
        """
        work = Work(client, patient)
        context = copy_context()
        context.run(_WORK.set, work)
        with self._changed:
            self._wait(work)
        try:
            yield context.run
        finally:
            with self._changed:
                work.done = True
                if work in self._waiting:  # whoever asked has left
                    self._waiting.remove(work)
                self._leave(work)
                self._forget(client)

    def give_way(self) -> None:
        """Let others have the model if it is their turn; the model calls this before each of its layers."""
        work = _WORK.get(None)
        if not self._waiting or work is None or work is not self._at_model:
            return
        with self._changed:
            if work is self._at_model and self._gives_way(work):
                self._leave(work)
                self._wait(work)

    def _wait(self, work: Work) -> None:
        work.since = time.monotonic()
        self._waiting.append(work)
        while not work.done and not (self._at_model is None and self._next() is work):
            # When patience ends, another one is next without being told.
            self._changed.wait(self.patience if work.patient else None)
        if work.done:
            return
        self._waiting.remove(work)
        now = time.monotonic()
        work.hurries = not work.patient or now - work.since >= self.patience
        self._at_model, work.begun, work.since = work, True, now
        self._last[work.client] = now

    def _leave(self, work: Work) -> None:
        if self._at_model is work:
            self._at_model = None
            self._last[work.client] = time.monotonic()
        self._changed.notify_all()

    def _forget(self, client: str) -> None:
        at_work = {work.client for work in (*self._waiting, self._at_model) if work}
        if client not in self._here and client not in at_work:
            self._last.pop(client, None)

    def _gives_way(self, work: Work) -> bool:
        other = self._next()
        if other is None:
            return False
        if not work.hurries and not other.patient:
            return True
        return other.client != work.client and time.monotonic() - work.since >= self.turn

    def _next(self) -> Work | None:
        now = time.monotonic()
        begun = sum(work.begun for work in self._waiting) + (self._at_model is not None)
        able = [work for work in self._waiting if work.begun or begun < self.begun]

        def order(work: Work) -> tuple[bool, float, bool]:
            waits = work.patient and now - work.since < self.patience
            return waits, self._last.get(work.client, 0.0), not work.begun

        return min(able, key=order, default=None)


_WORK: ContextVar[Work] = ContextVar("work")
_END = object()
TURNS = Turns(BEGUN, ASKED_AT_ONCE, TURN_SECONDS, PATIENCE_SECONDS)


def name_client(request: Any) -> str:
    """Return the address that a request came from; on the Hub, where a proxy stands between, the one that it saw."""
    forwarded = request.headers.get("x-forwarded-for") if os.environ.get("SPACE_ID") else None
    return forwarded.rpartition(",")[2].strip() if forwarded else str(request.client and request.client.host)


def client() -> str:
    """Return the address of whoever asks for what runs now."""
    request = LocalContext.request.get(None)
    return "" if request is None else name_client(request)


def in_turn(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run an event's function, or all of its generator, when it is its client's turn."""
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generate(*given: Any) -> Iterator[Any]:
            asking = client()
            with TURNS.admit(asking), TURNS.take(asking) as run, closing(function(*given)) as pieces:
                yield from iter(lambda: run(next, pieces, _END), _END)

        return generate

    @functools.wraps(function)
    def answer(*given: Any) -> Any:
        asking = client()
        with TURNS.admit(asking), TURNS.take(asking) as run:
            return run(function, *given)

    return answer
