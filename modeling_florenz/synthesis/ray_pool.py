"""Make shards on a Ray cluster: Ray Data hands them to actors, each of which loads the step's model once."""

import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from ..extras import install_command
from .shards import Batch, Step, write_shard


LOCAL = "local"  # in the place of an address: a Ray of this machine that ends with the run


class RayPool:
    """Collect the shards of a step and make them on a cluster that sees the same folders.

    Ray Data replaces an actor that dies, and gives its shard to another one.
    Ray's own checkpoints are not used: they belong to what Ray writes, and a shard is its own checkpoint.

    Args:
        step: what to run.
        actors: that make shards side by side.
        address: of the cluster, or `local`.

    Raises:
        ValueError: Ray is not installed, no cluster answers, or it has too few cores.
    """

    def __init__(self, step: Step, actors: int, address: str) -> None:
        self.step, self.actors = step, actors
        self.waiting: list[tuple[int, Batch, Path, str]] = []
        resources = connect(address)
        self.cores = cores_of_actor(resources.get("CPU", 0), actors)
        self.gpus = min(1.0, resources.get("GPU", 0) / actors)

    def __enter__(self) -> "RayPool":
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the cluster connected: the next step uses it."""

    def submit(self, number: int, batch: Batch, path: Path, base: str) -> list[int]:
        """Put a shard on the list; none is finished before `rest`."""
        self.waiting.append((number, batch, path, base))
        return []

    def rest(self) -> Iterator[int]:
        """Make all shards; yield their numbers as they are finished."""
        if not self.waiting:
            return
        from ray.data import ActorPoolStrategy, from_items

        rows = [{"number": number, "shard": (batch, path, base)} for number, batch, path, base in self.waiting]
        made = from_items(rows, override_num_blocks=len(rows)).map(
            cast(Any, _Writer),  # an actor's class: Ray calls an instance of it
            fn_constructor_args=(self.step,),
            compute=ActorPoolStrategy(size=self.actors),
            num_cpus=self.cores,
            num_gpus=self.gpus or None,
        )
        for row in made.iter_rows():
            if row["problem"]:
                raise ValueError(row["problem"])
            yield row["number"]


class _Writer:
    """Hold a step in an actor."""

    def __init__(self, step: Step) -> None:
        self.step = step

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        batch, path, base = row["shard"]
        try:
            write_shard(path, self.step.schema, self.step.make(*batch.load()), batch, base)
        except (ValueError, OSError) as error:  # said by the driver: Ray would wrap it in a traceback
            return {"number": row["number"], "problem": str(error)}
        return {"number": row["number"], "problem": ""}


def cores_of_actor(cores: float, actors: int) -> float:
    """Return how many cores each actor may ask for, so that one is left for reading.

    Actors that ask for all cores wait for ever: nothing is left to give them work.

    Raises:
        ValueError: there is one core at most.

    Example:

    ```python
    >>> cores_of_actor(2, actors=2)
    0.5
    ```
    """
    if cores < 2:
        raise ValueError(f"ray: the cluster has {cores:g} cores, and one must be left for reading: give it at least 2")
    return (int(1000 * (cores - 1) / actors) or 1) / 1000


def _knock(address: str) -> None:
    # Ray itself would wait for minutes.
    host, separator, port = address.rpartition("://")[2].rpartition(":")
    if separator and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


def connect(address: str) -> dict[str, float]:
    """Connect to a cluster, once, and return its resources.

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
    return ray.cluster_resources()
