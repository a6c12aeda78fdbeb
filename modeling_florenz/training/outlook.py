"""Say before the first step what a run will train, on what, and how much memory and time it will take."""

import dataclasses
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..modeling_florenz import FlorenzForConditionalGeneration
from .preparation import Prepared, prepare
from .recipe import parse_recipe
from .recipe_data import load_data
from .run_log import held_memory_gb
from .training_data import TrainingCollator
from .training_run import make_trainer


TIMED_STEPS, _UNTIMED_STEPS = 10, 2  # the first steps make buffers that later ones find
_LOOKED_AT = 8  # draws among which the longest texts are looked for
# Bytes that an optimizer keeps for each trained parameter, by a part of its name.
_STATES = (("8bit", 2), ("4bit", 1), ("adam", 8), ("lion", 4), ("sgd", 0), ("rmsprop", 4), ("adagrad", 4))
# Logits of a chunk, what softmax makes of them, and their gradient.
_COPIES_OF_LOGITS = 3
# What exists at once around the widest layer, in its outputs; what is frozen keeps nothing, but passes through too.
_WIDEST_OUTPUTS = 4


@dataclass(frozen=True)
class Outlook:
    """Hold what is known before the first step.

    Args:
        parameters: of the model, with its adapter.
        trained: those that are trained.
        rows: training rows by `task/language`.
        cut_targets: number of targets that are longer than the processor's limit.
        steps: number of steps.
        batch: examples of a step, over all processes.
        memory_gb: estimated peak of one process, in 10^9 bytes: of its GPU, or else of its RAM.
        seconds_per_step: mean of ten steps; None where none were timed.
    """

    parameters: int
    trained: int
    rows: Mapping[str, int]
    cut_targets: int
    steps: int
    batch: int
    memory_gb: float
    seconds_per_step: float | None = None

    def lines(self) -> list[str]:
        """Return what to print."""
        rows = sum(self.rows.values())
        found = [
            f"trained: {self.trained:,} of {self.parameters:,} parameters ({self.trained / self.parameters:.1%})",
            f"rows: {rows:,}: " + ", ".join(f"{name} {count:,}" for name, count in sorted(self.rows.items())),
            f"targets cut: {self.cut_targets:,} of {rows:,} ({self.cut_targets / rows:.1%})",
            f"steps: {self.steps:,} of {self.batch:,} examples",
            f"memory: about {self.memory_gb:.1f} GB for each process",
        ]
        if self.seconds_per_step is not None:
            minutes = self.steps * self.seconds_per_step / 60
            found.append(
                f"time: about {minutes:,.0f} minutes, by {TIMED_STEPS} timed steps of {self.seconds_per_step:.2f} s, "
                "without evaluation"
            )
        return found


def look_ahead(prepared: Prepared) -> Outlook:
    """Count what is trained, and estimate the memory from small forward passes."""
    training, trainable = prepared.recipe.training, prepared.trainable
    batch = training.train_batch_size * training.gradient_accumulation_steps * training.world_size
    return Outlook(
        parameters=sum(parameter.numel() for parameter in trainable.parameters()),
        trained=sum(parameter.numel() for parameter in trainable.parameters() if parameter.requires_grad),
        rows=prepared.rows,
        cut_targets=prepared.cut_targets,
        steps=training.max_steps,
        batch=batch,
        memory_gb=_memory_gb(prepared),
    )


def dry_run(values: dict[str, Any]) -> Outlook:
    """Load everything, time ten steps and write nothing to the folder of the run.

    Of what the model itself writes before the first step, a few texts are written and the rest is counted.

    Args:
        values: a recipe as `read_recipe` returns it.

    Raises:
        ValueError: recipe, model or data do not fit.
    """
    with tempfile.TemporaryDirectory(prefix="florenz-dry-run-") as folder:
        few = min(_LOOKED_AT, parse_recipe(values).arguments.rehearsal_examples)
        recipe = parse_recipe({**values, "output_dir": folder, "rehearsal_examples": few})
        prepared = prepare(load_data(recipe), captioned=_LOOKED_AT)
        outlook = look_ahead(prepared)
        return dataclasses.replace(outlook, seconds_per_step=_seconds_per_step(prepared, Path(folder)))


class _Clock(TrainerCallback):
    def __init__(self) -> None:
        self.started = self.ended = 0.0

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> TrainerControl:
        self.ended = time.perf_counter()
        if state.global_step <= _UNTIMED_STEPS:
            self.started = self.ended
        control.should_training_stop = state.global_step >= TIMED_STEPS + _UNTIMED_STEPS
        return control


def _seconds_per_step(prepared: Prepared, folder: Path) -> float:
    clock = _Clock()
    training = dataclasses.replace(
        prepared.recipe.training,
        output_dir=str(folder / "timed"),
        save_strategy="no",
        eval_strategy="no",
        load_best_model_at_end=False,
        report_to=[],
        logging_strategy="no",
    )
    trainer = make_trainer(prepared, training, [clock])
    trainer.train()
    timed = max(1, min(TIMED_STEPS, training.max_steps - _UNTIMED_STEPS))
    return (clock.ended - clock.started) / timed


def _memory_gb(prepared: Prepared) -> float:
    training = prepared.recipe.training
    trained = [parameter for parameter in prepared.trainable.parameters() if parameter.requires_grad]
    gradients = sum(parameter.numel() * parameter.element_size() for parameter in trained)
    name = str(getattr(training.optim, "value", training.optim))
    states = next((size for part, size in _STATES if part in name), 8) * sum(p.numel() for p in trained)
    longest = _longest(prepared)
    one, two = (_needed_bytes(prepared, longest * rows) for rows in (1, 2))
    kept = one + (training.train_batch_size - 1) * max(0, two - one)
    arguments = prepared.recipe.arguments
    all_tokens = training.train_batch_size * prepared.processor.max_target_length * (2 if arguments.preference else 1)
    chunk = (0 if arguments.preference else arguments.loss_chunk_size) or all_tokens
    copies = _COPIES_OF_LOGITS * (2 if prepared.teacher else 1)
    logits = copies * 4 * chunk * prepared.model.config.get_text_config().vocab_size
    return held_memory_gb() + (gradients + states + kept + logits) / 1e9


def _longest(prepared: Prepared) -> list[dict[str, Any]]:
    """Return the draw with the longest texts among the first ones; none if all of them were skipped."""
    draws = [prepared.train_data[draw] for draw in range(min(_LOOKED_AT, len(prepared.train_data)))]
    whole = [row for row in draws if "skipped" not in row]
    return sorted(whole, key=lambda row: len(row["target"]) + len(row["source"] or ""))[-1:]


def _needed_bytes(prepared: Prepared, rows: list[dict[str, Any]]) -> int:
    """Return the bytes of a pass over rows: inputs, widest layer, and what is kept."""
    arguments, training = prepared.recipe.arguments, prepared.recipe.training
    if not rows:
        return 0
    if arguments.preference:
        rows = rows * 2  # both targets of a row are read in one pass
    batch = TrainingCollator(prepared.processor, arguments.image_size)([dict(row) for row in rows])
    model: Any = prepared.trainable
    device = next(model.parameters()).device
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    widest = 0

    def measure(module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal widest
        if isinstance(output, torch.Tensor):
            widest = max(widest, output.nbytes)

    modes = [(module, module.training) for module in model.modules()]
    model.train()
    hooks = [module.register_forward_hook(measure) for module in model.modules()]
    _still_tower(prepared.model, arguments.vision_train_mode)
    inputs = {name: value.to(device) for name, value in batch.items() if isinstance(value, torch.Tensor)}
    devices = [device] if device.type == "cuda" else []
    # The run itself draws the same random numbers as if nobody had looked.
    with (
        torch.random.fork_rng(devices),
        torch.autocast(device.type, torch.bfloat16, enabled=bool(training.bf16)),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        held: nn.Module | Any = model(
            **inputs, loss_chunk_size=0 if arguments.preference else arguments.loss_chunk_size
        )
        given = sum(value.nbytes for value in inputs.values())
        # The batch that is used, and the next one.
        total = sum(kept.values()) + 2 * given + _WIDEST_OUTPUTS * widest
    del held
    for hook in hooks:
        hook.remove()
    for module, mode in modes:
        module.training = mode
    return total


def _still_tower(model: FlorenzForConditionalGeneration, is_trained: bool) -> None:
    if not is_trained:
        model.model.vision_tower.eval()
