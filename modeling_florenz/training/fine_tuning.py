"""Run a recipe: prepare, train, and leave one folder that holds all there is to know about the run."""

import logging
from contextlib import nullcontext
from typing import Any

from ..resumable import hold
from .ended_source import ended_source_said
from .eval_metrics import TextScorer
from .evaluation_checks import check_evaluation
from .export import export
from .finished_run import Run, finished_run
from .full_disk import full_disk_said
from .lost_process import lost_process_said
from .outlook import look_ahead
from .preparation import prepare
from .recipe import parse_recipe
from .recipe_data import load_data
from .training_run import train


logger = logging.getLogger(__name__)


def fine_tune(values: dict[str, Any], scorer: TextScorer | None = None) -> Run:
    """Train as a recipe says, going on where an interrupted run of the same recipe stopped.

    Args:
        values: a recipe as `read_recipe` returns it.
        scorer: of what the model writes, for `eval_metrics`; see `TextScorer`.

    Returns:
        `OUTPUT_DIR/adapter`, or `OUTPUT_DIR/model` where the whole model was trained, and what was measured.

    Raises:
        ValueError: recipe, model or data do not fit, or another process is training in the same folder; said before
            any training.
        TrainingStopped: SIGINT or SIGTERM came; a checkpoint was saved before.
    """
    recipe = parse_recipe(values)
    check_evaluation(recipe)
    # Processes that train together write to one folder by their first one.
    is_first = recipe.training.process_index == 0
    with hold(recipe.output / "run") if is_first else nullcontext():
        data = load_data(recipe)
        with lost_process_said(), full_disk_said(recipe.output), ended_source_said():
            run = finished_run(data)
            if run is None:
                prepared = prepare(data)
                if is_first:
                    logger.warning("before the first step:\n%s", "\n".join(look_ahead(prepared).lines()))
                run = export(train(prepared, scorer))
    if skipped := run.results["skipped"]:
        logger.warning("%d examples were skipped because their images could not be read", len(skipped))
    return run
