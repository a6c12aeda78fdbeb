"""Caption in actors of a Ray cluster, each of which loads the model once and is replaced if it dies."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from .block_writer import Block, BlockWriter, Written, made_by
from .bulk_options import BulkOptions
from .captioner import Captioner
from .crew import check_alike, hand_out
from .process_worker import AT_ONCE
from .ray_cluster import Machine, connect, share_of_actor


_TRIES = 5  # of a block, if the actors at work on it die


class RayPlan:
    """Say how many actors run on a cluster and what each may take, before any of them loads a model.

    Args:
        address: of the cluster, or `local`.
        actors: left out, one for each GPU, or without GPUs for each machine.

    Raises:
        ValueError: Ray is not installed, no cluster answers, or the actors could not all start.
    """

    def __init__(self, address: str, actors: int | None = None) -> None:
        machines = connect(address)
        self.actors = actors or int(sum(machine.gpus for machine in machines)) or len(machines)
        self.share: Machine = share_of_actor(machines, self.actors)
        import ray

        free, needed = ray.available_resources().get("CPU", 0), self.share.cores * self.actors
        if free < needed:
            raise ValueError(
                f"ray: {self.actors} actors need {needed:g} cores and {free:g} are free: wait until others end, or "
                "ask for fewer --processes"
            )

    def crew(self, load: Callable[..., Captioner], options: BulkOptions) -> "RayCrew":
        """Start the actors; see `RayCrew`."""
        return RayCrew(load, options, self)


class RayCrew:
    """Caption in actors; the files travel to them, and the captions back.

    Args:
        load: makes a `Captioner` in an actor.
        options: what is written; its workers are those of this process.
        plan: the actors.

    Raises:
        ValueError: the model cannot be loaded, or actors died several times over the same images.
    """

    def __init__(self, load: Callable[..., Captioner], options: BulkOptions, plan: RayPlan) -> None:
        import ray

        share = replace(options, workers=max(1, int(plan.share.cores)))
        remote: Any = ray.remote  # its types leave out some of these
        actor = remote(
            num_cpus=plan.share.cores,
            num_gpus=plan.share.gpus or None,
            max_concurrency=AT_ONCE,
            max_restarts=-1,
            max_task_retries=_TRIES,
        )(_Actor)
        self._actors = [actor.remote(load, share) for _ in range(plan.actors)]
        with_loaded = [actor.loaded.remote() for actor in self._actors]
        try:
            loaded = ray.get(with_loaded)
        except ray.exceptions.RayActorError as error:
            raise _died(error) from None
        if problem := next((made for made in loaded if isinstance(made, str)), None):
            raise ValueError(problem)
        self.made_by = check_alike(loaded)

    def write_all(self, blocks: Iterable[Block]) -> Iterator[Written]:
        """Yield the captions of blocks in order."""
        import ray

        try:
            yield from hand_out([_Worker(actor, self.made_by) for actor in self._actors], blocks)
        except ray.exceptions.RayActorError as error:
            raise _died(error) from None

    def close(self) -> None:
        """End the actors."""
        import ray

        for actor in self._actors:
            ray.kill(actor)


class _Worker:
    """An actor, seen from the driver."""

    def __init__(self, actor: Any, made: Mapping[str, Any]) -> None:
        self.actor, self.made_by = actor, made

    def submit(self, block: Block) -> "Future[Written]":
        future = Future[Written]()

        def finish(answer: "Future[tuple[Any, Written | str]]") -> None:
            try:
                made, written = answer.result()
                if isinstance(written, str):
                    raise ValueError(written)
                check_alike([self.made_by, made])  # one that was replaced loads the model again
                future.set_result(written)
            except Exception as error:
                future.set_exception(error)

        self.actor.write.remote(block).future().add_done_callback(finish)
        return future


class _Actor:
    """Hold a model."""

    def __init__(self, load: Callable[..., Captioner], options: BulkOptions) -> None:
        self.problem = ""
        try:
            captioner = load()
            self.made_by, self.writer = made_by(captioner), BlockWriter(captioner, options)
        except (ValueError, OSError) as error:  # said by the driver: Ray would wrap it in a traceback
            self.problem = str(error)

    def loaded(self) -> dict[str, Any] | str:
        return self.problem or self.made_by

    def write(self, block: Block) -> tuple[dict[str, Any], Written | str]:
        if self.problem:
            return {}, self.problem
        try:
            return self.made_by, self.writer.write(block)
        except (ValueError, OSError) as error:
            return self.made_by, str(error)


def _died(error: Exception) -> ValueError:
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return ValueError(f"ray: actors died {_TRIES} times over the same images ({reason}): the same command goes on")
