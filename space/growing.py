"""Show texts while they are written: a thread sends them piece by piece to whoever reads."""

import contextvars
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar


Result = TypeVar("Result")
_END = object()


class _ReaderLeft(Exception):
    """Ends the writer at its next word, because nobody reads any more."""


def while_it_writes(run: Callable[[Callable[[str, str], None]], Result]) -> Iterator[dict[str, str] | Result]:
    """Yield the texts so far by name, as often as they grow, and in the end what `run` returns.

    Args:
        run: is given the function to call with a name and its text so far.

    Raises:
        Exception: whatever `run` raises.

    Example:

    ```python
    >>> def run(watch):
    ...     watch("en", "A")
    ...     return 5
    >>> list(while_it_writes(run))
    [{'en': 'A'}, 5]
    ```
    """
    sent: queue.SimpleQueue[Any] = queue.SimpleQueue()
    left = threading.Event()
    ends: list[Any] = []

    def watch(name: str, text: str) -> None:
        if left.is_set():
            raise _ReaderLeft
        sent.put((name, text))

    def work() -> None:
        try:
            ends.append(run(watch))
        except BaseException as error:
            ends.append(error)
        sent.put(_END)

    # In the caller's context: the model asks whose turn it is.
    worker = threading.Thread(target=contextvars.copy_context().run, args=(work,), name="florenz-growing")
    worker.start()
    texts: dict[str, str] = {}
    try:
        while (news := sent.get()) is not _END:
            # What was sent meanwhile is shown at once; after the end comes the result, which has it all.
            while news is not _END and not sent.empty():
                texts[news[0]] = news[1]
                news = sent.get()
            if news is _END:
                break
            texts[news[0]] = news[1]
            yield dict(texts)
    finally:
        left.set()
    worker.join()
    if isinstance(ends[0], BaseException):
        raise ends[0]
    yield ends[0]
