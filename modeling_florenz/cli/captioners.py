"""Load the model of `florenz caption`: here, in several processes, or in the actors of a Ray cluster."""

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from .arguments import captioner_settings, load_captioner, read_languages, tell_loading


if TYPE_CHECKING:
    from ..inference.bulk_options import BulkOptions
    from ..inference.captioner import Captioner
    from ..inference.crew import ProcessCrew
    from ..inference.ray_crew import RayCrew, RayPlan
    from ..processing_florenz import FlorenzProcessor


def plan_actors(arguments: argparse.Namespace) -> "RayPlan | None":
    """Check the plan of a Ray cluster, if one is asked for, before anything is loaded."""
    if arguments.ray is None:
        return None
    from ..inference.ray_crew import RayPlan

    return RayPlan(arguments.ray, arguments.processes)


@contextmanager
def open_captioner(
    arguments: argparse.Namespace, plan: "RayPlan | None", total: int | None
) -> Iterator[tuple["Captioner | ProcessCrew | RayCrew", "BulkOptions"]]:
    """Load the model here, or in several processes or actors."""
    from ..inference.crew import ProcessCrew, usual_processes

    blocks = None if total is None else -(-total // arguments.batch_size)
    processes = arguments.processes or usual_processes(blocks)
    if plan is None and processes == 1:
        captioner = load_captioner(arguments)
        yield captioner, _options(arguments, captioner.processor)
        return
    from ..checkpoint.loading import load_processor

    tell_loading(arguments)
    options = _options(arguments, load_processor(arguments.model, arguments.revision, arguments.adapter))
    load = partial(_load, arguments.verbose, captioner_settings(arguments))
    with closing(ProcessCrew(load, options, processes) if plan is None else plan.crew(load, options)) as crew:
        yield crew, options


def _load(verbose: bool, settings: dict[str, Any], device: str | None = None) -> "Captioner":
    """Load the model in another process, where libraries have nothing to say either."""
    from .terminal import quiet_libraries

    with quiet_libraries(verbose):  # before they are imported
        from ..inference.captioner import Captioner

        return Captioner(**settings, device=device)


def _options(arguments: argparse.Namespace, processor: "FlorenzProcessor") -> "BulkOptions":
    from ..inference.asked import check_request, known_languages
    from ..inference.bulk_options import BulkOptions, default_workers

    options = BulkOptions(
        arguments.task,
        read_languages(arguments.language, known_languages(processor)),
        arguments.prefix,
        arguments.via,
        arguments.beams,
        arguments.batch_size,
        arguments.workers or default_workers(),
        arguments.fast_decode,
    )
    for task in options.tasks:
        check_request(processor, options.languages, task, options.via)
    return options
