"""Share the model between visitors: whoever was served longest ago is next, however much others ask for."""

import functools
import inspect
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr
from gradio.context import LocalContext
from limits import ASKED_AT_ONCE, AT_ONCE


class Turns:
    """Let a few requests use the model at a time, one client after the other.

    Args:
        at_once: requests that use it at the same time.
        each: requests of a client that may be here, waiting or in work.
    """

    def __init__(self, at_once: int, each: int) -> None:
        self.at_once, self.each = at_once, each
        self._changed = threading.Condition()
        self._here: Counter[str] = Counter()
        self._working: Counter[str] = Counter()
        self._waiting: list[tuple[str, object]] = []
        self._last: dict[str, int] = {}  # of clients that are here: the number of their last turn
        self._turns = 0

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
                    self._last.pop(client, None)

    @contextmanager
    def take(self, client: str) -> Iterator[None]:
        """Wait for the client's turn and keep it; of those who wait, the one served longest ago comes first."""
        ticket = (client, object())
        with self._changed:
            self._waiting.append(ticket)
            self._changed.wait_for(lambda: self._next() == ticket)
            self._waiting.remove(ticket)
            self._turns += 1
            self._last[client] = self._turns
            self._working[client] += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._working[client] -= 1
                self._changed.notify_all()

    def _next(self) -> tuple[str, object] | None:
        # No client takes all places, so that another one need not wait for its work to end.
        most = max(1, self.at_once - 1)
        able = [ticket for ticket in self._waiting if self._working[ticket[0]] < most]
        if not able or self._working.total() >= self.at_once:
            return None
        return min(able, key=lambda ticket: (self._working[ticket[0]], self._last.get(ticket[0], 0)))


TURNS = Turns(AT_ONCE, ASKED_AT_ONCE)


def client() -> str:
    """Return the address of whoever asks; on the Hub, where a proxy stands between, the one that it saw."""
    request = LocalContext.request.get(None)
    if request is None:
        return ""
    forwarded = request.headers.get("x-forwarded-for") if os.environ.get("SPACE_ID") else None
    return forwarded.rpartition(",")[2].strip() if forwarded else str(request.client.host)


def in_turn(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run an event's function, or all of its generator, when it is its client's turn."""
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generate(*given: Any) -> Iterator[Any]:
            asking = client()
            with TURNS.admit(asking), TURNS.take(asking):
                yield from function(*given)

        return generate

    @functools.wraps(function)
    def run(*given: Any) -> Any:
        asking = client()
        with TURNS.admit(asking), TURNS.take(asking):
            return function(*given)

    return run
