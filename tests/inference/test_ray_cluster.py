"""Actors get shares of a cluster with which all of them can start; a plan that would wait for ever is refused."""

import sys
from types import SimpleNamespace

import pytest

from modeling_florenz.inference.ray_cluster import Machine, connect, share_of_actor
from modeling_florenz.inference.ray_crew import RayPlan


@pytest.mark.parametrize(("cores", "actors", "asked"), [(2, 1, 1.0), (2, 2, 0.5), (8, 3, 2.333), (16, 5, 3.0)])
def test_actors_leave_a_core_for_reading(cores: int, actors: int, asked: float) -> None:
    assert share_of_actor([Machine(cores)], actors) == Machine(asked)
    assert actors * asked <= cores - 1


def test_a_cluster_that_has_one_core_is_refused_in_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"^ray: the cluster has 1 cores, and one must be left for reading: give it"):
        share_of_actor([Machine(1)], actors=1)


@pytest.mark.parametrize(
    ("machines", "actors", "asked"),
    [
        ([Machine(16), Machine(4)], 2, Machine(8.0)),  # nine and a half each would leave the second one out
        ([Machine(8, 1), Machine(8, 1)], 2, Machine(7.5, 1.0)),
        ([Machine(8, 1), Machine(8, 1)], 3, Machine(4.0, 0.5)),  # a third of a GPU more would fit nowhere
        ([Machine(64), Machine(4, 4)], 4, Machine(1.0, 1.0)),  # the many cores are not where the GPUs are
    ],
)
def test_actors_fit_into_machines(machines: list[Machine], actors: int, asked: Machine) -> None:
    assert share_of_actor(machines, actors) == asked


def test_actors_that_would_wait_for_cores_in_use_are_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    free = {"CPU": 3.0}
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(available_resources=lambda: free))
    monkeypatch.setattr("modeling_florenz.inference.ray_crew.connect", lambda address: [Machine(4)])
    assert RayPlan("local", 2).share == Machine(1.5)
    free["CPU"] = 2.9
    with pytest.raises(
        ValueError, match=r"^ray: 2 actors need 3 cores and 2\.9 are free: wait until others end, or ask"
    ):
        RayPlan("local", 2)
    free.clear()  # as Ray tells that none is free
    with pytest.raises(ValueError, match="2 actors need 3 cores and 0 are free"):
        RayPlan("local", 2)


@pytest.mark.slow
def test_an_address_where_no_cluster_is_is_refused_at_once() -> None:
    pytest.importorskip("ray")
    with pytest.raises(ValueError, match=r"^ray: no cluster answers at '127.0.0.1:9' .* start one with ray start"):
        connect("127.0.0.1:9")
