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


class Line:
    """Let works pass the model layer by layer: `layers` seconds in all, unless `hold` says when to end."""

    def __init__(self, module: Any, begun: int = 9, turn: float = 0.01, patience: float = 60) -> None:
        self.turns = module.Turns(begun=begun, each=99, turn=turn, patience=patience)
        self.served: list[str] = []  # at each layer, who computes
        self._threads: list[threading.Thread] = []
        self._at_model = 0

    def ask(self, client: str, layers: int = 1, hold: threading.Event | None = None, patient: bool = False) -> None:
        def compute() -> None:
            for _ in range(layers) if hold is None else iter(lambda: hold.wait(0.001), True):
                self.turns.give_way()
                self._at_model += 1
                self.served.append(client)
                time.sleep(0.001)
                assert self._at_model == 1  # never two at a time
                self._at_model -= 1

        def run() -> None:
            with self.turns.take(client, patient) as call:
                call(compute)

        self._threads.append(threading.Thread(target=run))
        self._threads[-1].start()

    def until(self, client: str) -> None:
        """Wait until a client has been served."""
        deadline = time.monotonic() + 30
        while client not in self.served:
            assert time.monotonic() < deadline, f"{client} is not served"
            time.sleep(0.001)

    def end(self) -> None:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()


def test_who_asks_for_much_gives_way_to_who_asks_for_little(module: Any) -> None:
    line, hold = Line(module), threading.Event()
    for _ in range(5):
        line.ask("greedy", hold=hold)
    line.until("greedy")
    line.ask("modest", layers=3)
    line.until("modest")  # although nothing of the other one is done
    hold.set()
    line.end()


def test_without_giving_way_nobody_else_is_served(module: Any) -> None:
    line, hold = Line(module, turn=60), threading.Event()
    line.ask("greedy", hold=hold)
    line.until("greedy")
    line.ask("modest")
    time.sleep(0.1)
    assert "modest" not in line.served
    hold.set()
    line.end()


def test_a_batch_gives_way_at_once_and_waits_to_the_end(module: Any) -> None:
    line, hold = Line(module, turn=60), threading.Event()
    line.ask("batch", hold=hold, patient=True)
    line.until("batch")
    line.ask("modest", layers=20)
    line.until("modest")
    hold.set()
    line.end()
    first = line.served.index("modest")
    assert line.served[first : first + 20] == ["modest"] * 20


def test_a_batch_has_a_turn_when_its_patience_ends(module: Any) -> None:
    line, hold = Line(module, patience=0.05), threading.Event()
    line.ask("modest", hold=hold)
    line.until("modest")
    line.ask("batch", patient=True)
    line.until("batch")
    hold.set()
    line.end()


def test_two_visitors_at_work_take_turns(module: Any) -> None:
    line, hold = Line(module), threading.Event()
    for client in "ab":
        line.ask(client, hold=hold)
    line.until("b")
    time.sleep(0.3)
    hold.set()
    line.end()
    changes = sum(one != other for one, other in zip(line.served, line.served[1:], strict=False))
    assert changes > 3 and 0.3 < line.served.count("a") / len(line.served) < 0.7


def test_no_more_work_is_begun_than_memory_allows(module: Any) -> None:
    line, hold = Line(module, begun=2), threading.Event()
    for client in "ab":
        line.ask(client, hold=hold)
    line.until("b")
    line.ask("c")
    time.sleep(0.1)
    assert set(line.served) == {"a", "b"}
    hold.set()
    line.end()
    assert "c" in line.served


def test_work_whose_visitor_left_waits_no_longer(module: Any) -> None:
    turns, left = module.Turns(begun=9, each=9, turn=0, patience=60), threading.Event()
    ends = threading.Event()
    with turns.take("gone") as call:

        def stream() -> None:  # as a thread that writes goes on for a moment
            while not left.is_set():
                call(turns.give_way)
            ends.set()

        thread = threading.Thread(target=stream)
        thread.start()
        other = threading.Thread(target=lambda: _hold(turns, left))
        other.start()
        time.sleep(0.1)  # the first has given way
    left.set()
    assert ends.wait(30)
    for one in (thread, other):
        one.join(30)
        assert not one.is_alive()


def _hold(turns: Any, until: threading.Event) -> None:
    with turns.take("other"):
        until.wait(30)


def test_too_many_requests_of_one_visitor_are_refused_and_others_are_not(module: Any) -> None:
    import gradio as gr

    turns = module.Turns(begun=1, each=2, turn=1, patience=1)
    with turns.admit("a"), turns.admit("a"):
        with pytest.raises(gr.Error, match="You have 2 requests here already"), turns.admit("a"):
            pass
        with turns.admit("b"):
            pass
    with turns.admit("a"):
        pass
