"""Connect to a Ray cluster, and share its cores and GPUs among actors so that all of them can start."""

import logging
import socket
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..extras import install_command


LOCAL = "local"  # in the place of an address: a Ray of this machine that ends with the run


class Machine(NamedTuple):
    """Count cores and GPUs: of a machine, or those that an actor asks for."""

    cores: float
    gpus: float = 0.0


def share_of_actor(machines: Sequence[Machine], actors: int) -> Machine:
    """Return how many cores and GPUs each actor may ask for, so that all find a machine and a core is left.

    Actors that ask for all cores wait for ever: nothing is left to give them work.

    Raises:
        ValueError: there is one core at most, or there are too many actors.

    Example:

    ```python
    >>> share_of_actor([Machine(2)], actors=2)
    Machine(cores=0.5, gpus=0.0)
    ```
    """
    cores = sum(machine.cores for machine in machines)
    if cores < 2:
        raise ValueError(f"ray: the cluster has {cores:g} cores, and one must be left for reading: give it at least 2")
    gpus = next((part for part in _parts([1.0], actors) if _room(machines, Machine(0, part)) >= actors), 0.0)
    most = (cores - 1) / actors
    for part in _parts([most, *(machine.cores for machine in machines)], actors):
        if part <= most and _room(machines, Machine(part, gpus)) >= actors:
            return Machine(part, gpus)
    raise ValueError(f"ray: the cluster has no place for {actors} actors: ask for fewer")


def connect(address: str) -> list[Machine]:
    """Connect to a cluster, once, and return its machines.

    Raises:
        ValueError: Ray is not installed, or no cluster answers.
    """
    try:
        import ray
        from ray.data import DataContext
    except ImportError:
        raise ValueError(f"ray: Ray is not installed: {install_command('ray')}") from None
    if not ray.is_initialized():
        try:
            _knock(address)
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(
                f"ray: no cluster answers at {address!r} ({reason}): start one with ray start --head, or give {LOCAL}"
            ) from None
    DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    found = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [Machine(resources.get("CPU", 0), resources.get("GPU", 0)) for resources in found]


def _parts(wholes: Sequence[float], actors: int) -> Iterator[float]:
    """Yield parts of one of the wholes in thousandths, as Ray counts, the largest first."""
    parts = {int(1000 * whole / count) / 1000 for whole in wholes for count in range(1, actors + 1)}
    yield from sorted((part for part in parts if part), reverse=True)


def _room(machines: Sequence[Machine], share: Machine) -> int:
    """Count the actors that find a place."""
    return sum(
        min(int(whole / part + 1e-9) for whole, part in zip(machine, share, strict=True) if part)
        for machine in machines
    )


def _knock(address: str) -> None:
    # Ray itself would wait for minutes.
    host, separator, port = address.rpartition("://")[2].rpartition(":")
    if separator and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()
