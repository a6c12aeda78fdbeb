"""Make shards on a Ray cluster: Ray Data hands them to actors, each of which loads the step's model once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from ..inference.ray_cluster import connect, share_of_actor
from .shards import Batch, Step, write_shard


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
        self.cores, self.gpus = share_of_actor(connect(address), actors)

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
