"""Read what a run was from its log, which each checkpoint holds: over all its parts, with nothing counted twice."""

import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


@dataclass(frozen=True)
class RunLog:
    """Hold what the log says about the steps that count.

    Args:
        training_loss: mean over all steps, in nats per token; None before the first log.
        loss_curve: steps, and the mean loss since the one before.
        metrics: steps, and what was measured of the evaluation data.
        skipped: what was skipped, and why.
        examples: number of examples over all processes.
        tokens: number of target tokens over all processes.
        seconds: of training and evaluation; work that was lost by a kill is not counted.
        peak_memory_gb: of the largest process, in 10^9 bytes: of its GPU, or else of its RAM.
    """

    training_loss: float | None
    loss_curve: list[tuple[int, float]]
    metrics: list[tuple[int, dict[str, float]]]
    skipped: list[str]
    examples: int
    tokens: int
    seconds: float
    peak_memory_gb: float


def read_log(history: Sequence[Mapping[str, Any]], every: int = 0) -> RunLog:
    """Read the log of a run.

    Args:
        history: `log_history` of Trainer's state, as `FlorenzTrainer` writes it.
        every: steps between two points of the loss curve; what a signal logged between them is merged. 0 keeps all.
    """
    trained = [entry for entry in history if "loss" in entry]
    last, total, open_total, open_since = 0, 0.0, 0.0, 0
    curve: list[tuple[int, float]] = []
    for entry in trained:
        step = int(entry["step"])
        total += entry["loss"] * (step - last)
        open_total += entry["loss"] * (step - last)
        last = step
        if not every or step % every == 0 or entry is trained[-1]:
            curve.append((step, _round(open_total / max(step - open_since, 1))))
            open_total, open_since = 0.0, step
    return RunLog(
        training_loss=_round(total / last) if last else None,
        loss_curve=curve,
        metrics=[(int(entry["step"]), measures(entry)) for entry in history if measures(entry)],
        skipped=[reason for entry in trained for reason in entry.get("skipped", ())],
        examples=sum(entry.get("examples", 0) for entry in trained),
        tokens=sum(entry.get("tokens", 0) for entry in trained),
        seconds=round(sum(entry.get("seconds", 0.0) for entry in trained), 1),
        peak_memory_gb=max((entry.get("peak_memory_gb", 0.0) for entry in trained), default=0.0),
    )


def measures(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return what was measured of the evaluation data, without how long that took."""
    timings = ("_runtime", "_per_second", "_time")
    return {
        name: value
        for name, value in metrics.items()
        if name.startswith("eval_") and not name.startswith("eval_mem_") and not name.endswith(timings)
    }


def peak_memory_gb() -> float:
    """Return the most memory that this process has held, in 10^9 bytes: of its GPU, or else of its RAM."""
    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 1e9, 2)
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9, 2)


def held_memory_gb() -> float:
    """Return the memory that this process holds now, in 10^9 bytes: of its GPU, or else of its RAM."""
    if torch.cuda.is_available():
        return torch.cuda.memory_allocated() / 1e9
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # not on Linux
        return peak_memory_gb()
    return pages * resource.getpagesize() / 1e9


class LogBeforeSaving(TrainerCallback):
    """Log with every checkpoint and evaluation, so that no step is missing from the log of a run that goes on."""

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> TrainerControl:
        if control.should_save or control.should_evaluate or control.should_training_stop:
            control.should_log = True
        return control

    on_epoch_end = on_step_end


def _round(value: float) -> float:
    return float(f"{value:.5g}")
