"""Processes end with the one that started them, even if that one is killed."""

import multiprocessing
import os
import threading
from collections.abc import Callable


def end_with_parent() -> None:
    """End this process, which `multiprocessing` started, as soon as its parent has ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        _end_after(parent.join)


def end_forks_with_this_process() -> None:
    """End the processes that are forked from this one from now on as soon as this one has ended."""
    if not hasattr(os, "register_at_fork"):  # where nothing is forked
        return
    own = os.getpid()
    reading, writing = os.pipe()

    def follow() -> None:
        if os.getppid() == own:
            os.close(writing)
            _end_after(lambda: os.read(reading, 1))  # nothing is written: this returns when the parent's end closes

    os.register_at_fork(after_in_child=follow)


def _end_after(wait: Callable[[], object]) -> None:
    def end() -> None:
        wait()
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()
