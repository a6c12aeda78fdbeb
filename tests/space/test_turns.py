"""Visitors take turns: how much one asks for does not decide when another is served."""

import importlib
import importlib.util
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from modeling_florenz.cli.space import find_app


if importlib.util.find_spec("gradio") is None:
    pytest.skip("gradio is not installed: pip install .[space]", allow_module_level=True)


@pytest.fixture(scope="module")
def module() -> Iterator[Any]:
    sys.path.insert(0, str(find_app().parent))
    yield importlib.import_module("turns")
    sys.path.remove(str(find_app().parent))


def _ask(turns: Any, served: list[str], client: str, hold: threading.Event | None = None) -> threading.Thread:
    def run() -> None:
        with turns.take(client):
            served.append(client)
            if hold is not None:
                hold.wait(30)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_who_asks_for_much_waits_for_who_asks_for_little(module: Any) -> None:
    turns, served, hold = module.Turns(at_once=1, each=99), [], threading.Event()
    threads = [_ask(turns, served, "greedy", hold)]
    while not served:
        time.sleep(0.001)
    threads += [_ask(turns, served, "greedy") for _ in range(5)]
    time.sleep(0.05)  # they stand in line
    threads.append(_ask(turns, served, "modest"))
    time.sleep(0.05)
    hold.set()
    for thread in threads:
        thread.join(30)
    assert served[:2] == ["greedy", "modest"] and len(served) == 7


def test_no_one_takes_all_places(module: Any) -> None:
    turns, served, hold = module.Turns(at_once=2, each=99), [], threading.Event()
    threads = [_ask(turns, served, "greedy", hold) for _ in range(3)]
    time.sleep(0.1)
    assert served == ["greedy"]
    threads.append(_ask(turns, served, "modest", hold))
    time.sleep(0.1)
    assert served == ["greedy", "modest"]  # at once, while the other one goes on
    hold.set()
    for thread in threads:
        thread.join(30)
    assert len(served) == 4


def test_no_more_work_at_once_than_there_are_places(module: Any) -> None:
    turns, most, now, lock = module.Turns(at_once=2, each=99), 0, 0, threading.Lock()

    def run(client: str) -> None:
        nonlocal most, now
        with turns.take(client):
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.01)
            with lock:
                now -= 1

    threads = [threading.Thread(target=run, args=(str(number % 3),)) for number in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == 2


def test_too_many_requests_of_one_visitor_are_refused_and_others_are_not(module: Any) -> None:
    import gradio as gr

    turns = module.Turns(at_once=1, each=2)
    with turns.admit("a"), turns.admit("a"):
        with pytest.raises(gr.Error, match="You have 2 requests here already"), turns.admit("a"):
            pass
        with turns.admit("b"):
            pass
    with turns.admit("a"):
        pass
