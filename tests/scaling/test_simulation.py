"""Intervals hold the truth as often as they say on means over seeds, and too seldom on pooled runs."""

import pytest


pytest.importorskip("statsmodels")

from modeling_florenz.scaling import simulation  # noqa: E402


def test_intervals_of_cells_hold_the_truth_and_those_of_pooled_runs_do_not():
    assert 0.92 <= simulation.coverage(300, cell=0.0) <= 0.98
    assert simulation.coverage(300, cell=simulation.CELL) >= 0.92
    assert simulation.coverage(300, cell=simulation.CELL, pooled=True) < 0.9


def test_an_offset_is_identified_exactly_where_its_interval_does_not_reach_nothing():
    found = simulation.offsets(12, starts=5)
    assert found["contradictions"] == 0
    assert found["identified"] < 0.9  # a small grid rarely tells
    low, _, high = found["estimates"]
    assert low < simulation.OFFSET < high
    assert found["held"] > 0.7


@pytest.mark.slow
def test_two_thousand_laws_are_held_as_often_as_they_say():
    found = simulation.simulate(2000)
    assert 0.935 <= found["coverage"]["equal noise, cells"] <= 0.965
    assert found["coverage"]["shared noise, cells"] >= 0.92
    assert found["coverage"]["shared noise, pooled"] < 0.9
    assert found["offset"]["contradictions"] == 0
    assert found["offset"]["converged"] > 0.95
