"""Times are taken in rounds, and ratios of unsteady ones are not told."""

import pytest

from modeling_florenz.inference.benchmark import Measured, Work, measure, ratio


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
    assert found["read"] == Measured(1, 1.0)
    assert found["write"] == Measured(4, pytest.approx(0.25))


def test_a_ratio_is_told_only_where_repeats_agree():
    steady, unsteady = Measured(2.0, 0.1), Measured(1.0, 0.3)
    assert ratio(steady, Measured(1.0, 0.2)) == 2
    assert ratio(steady, unsteady) is None
    assert ratio(unsteady, steady) is None


def test_one_repeat_is_refused():
    with pytest.raises(ValueError, match="repeats must be at least 2, not 1"):
        measure({}, 1)
