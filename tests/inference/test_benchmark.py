"""Times are taken in rounds, and ratios of unsteady ones are not printed."""

import pytest

from modeling_florenz.inference.benchmark import Measured, Work, measure, ratio, together


def test_works_take_turns_and_the_first_round_does_not_count():
    turns = []
    works = {name: Work(lambda name=name: turns.append(name)) for name in ("one", "two")}
    found = measure(works, repeats=2)
    assert turns == ["one", "two"] * 3
    assert found.keys() == {"one", "two"}


def test_times_are_medians_a_unit_without_what_comes_off(monkeypatch):
    clock = iter([0, 0, *(0, 1, 1, 9), *(0, 2, 2, 12), *(0, 1, 1, 11)])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    # In each round: reading takes 1, 2, 1, and reading and writing 8, 10, 10.
    found = measure({"read": Work(lambda: None), "write": Work(lambda: None, units=2, less="read")}, repeats=3)
    assert (found["read"].seconds, found["read"].spread) == (1, 1.0)
    assert (found["write"].seconds, found["write"].spread) == (4, pytest.approx(0.25))


def test_a_ratio_is_told_only_where_the_rounds_agree():
    slow, fast = Measured((4.0, 2.0, 2.2)), Measured((2.0, 1.0, 1.0))
    assert ratio(slow, fast) == 2  # the machine was slow in the first round, for both
    assert ratio(slow, Measured((1.0, 1.0, 1.0))) is None
    assert ratio(slow, Measured((1.0, 0.0, 1.0))) is None


def test_works_add_up_round_by_round():
    found = {"read": Measured((1.0, 2.0)), "write": Measured((0.5, 0.25))}
    assert together(found, {"read": 1, "write": 4}) == Measured((3.0, 3.0))


def test_one_repeat_is_refused():
    with pytest.raises(ValueError, match="repeats must be at least 2, not 1"):
        measure({}, 1)
