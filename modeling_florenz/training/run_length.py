"""Count epochs in steps: the order of the examples is one long list, and an epoch has as many as there are rows."""

import math

from .trainer_arguments import FlorenzTrainingArguments


def steps_per_epoch(training: FlorenzTrainingArguments, rows: int, rehearsal: float) -> int:
    """Return the number of steps in which as many examples are drawn as there are rows, over all processes.

    Args:
        rows: of all training data.
        rehearsal: share of the draws that are not of these rows.
    """
    batch = training.train_batch_size * training.gradient_accumulation_steps * training.world_size
    return max(1, math.ceil(rows / (1 - rehearsal) / batch))


def count_in_steps(training: FlorenzTrainingArguments, epoch: int) -> None:
    """Replace everything that is counted in epochs by steps, which is what Trainer then sees.

    Args:
        training: `max_steps` is set where only `num_train_epochs` is given; strategies by epoch become ones by steps.
        epoch: number of steps; see `steps_per_epoch`.
    """
    if training.max_steps < 1:
        training.max_steps = max(1, math.ceil(training.num_train_epochs * epoch))
    for kind in ("eval", "save", "logging"):
        strategy = getattr(training, f"{kind}_strategy")
        if strategy == "epoch":
            setattr(training, f"{kind}_strategy", type(strategy)("steps"))
            setattr(training, f"{kind}_steps", epoch)
