"""Train what was prepared, going on where an interrupted run stopped, and measure it."""

import threading
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from transformers import TrainerCallback

from ..inference.evaluated import SearchProtocol
from ..run_record import run_record
from .augmentation import Augmented
from .averaging import average_checkpoints
from .eval_metrics import CONTRASTS, TextScorer
from .patience import Patience
from .preparation import Prepared
from .run_log import LogBeforeSaving, measures, read_log
from .stop_signals import SaveOnSignal
from .trainer import FlorenzTrainer, last_complete_checkpoint
from .trainer_arguments import FlorenzTrainingArguments
from .training_data import TrainingCollator
from .written_texts import WrittenTexts


@dataclass(frozen=True)
class Trained:
    """Hold a finished training.

    Args:
        prepared: what was trained.
        trainer: holds the weights, which may be shared among several processes.
        results: what `results.json` will say.
    """

    prepared: Prepared
    trainer: FlorenzTrainer
    results: dict[str, Any]


def train(prepared: Prepared, scorer: TextScorer | None = None) -> Trained:
    """Train to the last step, from the newest complete checkpoint on, and evaluate at the end.

    Args:
        prepared: what to train.
        scorer: of what the model writes; needed for `eval_metrics`.

    Raises:
        ValueError: the best checkpoint, which should be the result, is gone.
        TrainingStopped: SIGINT or SIGTERM came; a checkpoint was saved before.
    """
    arguments, training = prepared.recipe.arguments, prepared.recipe.training
    # Logged after all others had their say whether to save, and before a signal's checkpoint is written.
    stop = SaveOnSignal()
    callbacks: list[TrainerCallback] = [stop, LogBeforeSaving()]
    if arguments.early_stopping_patience:
        callbacks.append(Patience(arguments.early_stopping_patience))
    trainer = make_trainer(prepared, training, callbacks, _written(prepared, scorer))
    in_main_thread = threading.current_thread() is threading.main_thread()
    with stop.listening() if in_main_thread else nullcontext():
        trainer.train(resume_from_checkpoint=last_complete_checkpoint(prepared.recipe.output))
    state = trainer.state
    if training.load_best_model_at_end and state.best_metric is not None and state.best_model_checkpoint is None:
        raise ValueError(
            f"checkpoint-{state.best_global_step}, the best one, is gone from {prepared.recipe.output}: put it back"
        )
    averaged: list[int] = []
    if arguments.average_checkpoints:
        averaged = average_checkpoints(prepared.trainable, prepared.recipe.output, arguments.average_checkpoints)
    log = read_log(state.log_history)
    measured_at = state.best_global_step if training.load_best_model_at_end else state.global_step
    metrics = None if averaged else dict(log.metrics).get(measured_at or 0)
    if metrics is None:
        metrics = measures(trainer.evaluate()) if prepared.eval_data is not None else {}
    every = int(state.logging_steps) if training.logging_strategy == "steps" else 0
    log = read_log(state.log_history, every)
    results = {
        "label": "measured-here",
        "steps": state.global_step,
        "best_step": state.best_global_step if training.load_best_model_at_end else None,
        "averaged_steps": averaged,
        "training_loss": log.training_loss,
        "loss_curve": log.loss_curve,
        "evaluations": log.metrics,
        "seconds": log.seconds,
        "peak_memory_gb": log.peak_memory_gb,
        "examples": log.examples,
        "target_tokens": log.tokens,
        "processes": training.world_size,
        "trainable_parameters": sum(p.numel() for p in prepared.trainable.parameters() if p.requires_grad),
        "base_digest": prepared.base_digest,
        "data": prepared.data.loaded,
        "data_fingerprint": prepared.data.fingerprint,
        "shares": prepared.train_data.shares,
        "skipped": log.skipped,
        "cut_targets": prepared.cut_targets,
        "metrics": metrics,
        **run_record(),
    }
    return Trained(prepared, trainer, results)


def make_trainer(
    prepared: Prepared,
    training: FlorenzTrainingArguments,
    callbacks: Sequence[TrainerCallback],
    written: WrittenTexts | None = None,
) -> FlorenzTrainer:
    """Make what trains: its steps are those of the run, whatever is logged, saved or measured beside them.

    Args:
        prepared: what to train.
        training: the recipe's, or with other choices of what is logged and saved.
        callbacks: of Trainer.
        written: measures what the model writes.
    """
    arguments = prepared.recipe.arguments
    augmented = Augmented(prepared.train_data, arguments.augmentation)
    return FlorenzTrainer(
        model=prepared.trainable,
        args=training,
        data_collator=TrainingCollator(
            prepared.processor, arguments.image_size, prepared.features, with_incorrect=bool(arguments.preference)
        ),
        train_dataset=augmented if arguments.augmentation else prepared.train_data,
        eval_dataset=prepared.eval_data,
        processing_class=prepared.processor,
        callbacks=list(callbacks),
        loss_chunk_size=arguments.loss_chunk_size,
        vision_train_mode=arguments.vision_train_mode,
        preference=arguments.preference,
        teacher=prepared.teacher,
        distillation=arguments.distillation,
        distillation_temperature=arguments.distillation_temperature,
        florenz=prepared.model,
        contrasts=prepared.data.contrasts,
        contrasts_by_language=CONTRASTS in arguments.eval_metrics,
        written=written,
        steps_per_epoch=prepared.steps_per_epoch,
        features=prepared.features,
    )


def _written(prepared: Prepared, scorer: TextScorer | None) -> WrittenTexts | None:
    arguments, training = prepared.recipe.arguments, prepared.recipe.training
    metrics = [metric for metric in arguments.eval_metrics if metric != CONTRASTS]
    if not metrics:
        return None
    if scorer is None:
        raise ValueError("eval_metrics needs a scorer: pass modeling_florenz.evaluation.text_scores.score_texts")
    usual = SearchProtocol()
    return WrittenTexts(
        model=prepared.model,
        processor=prepared.processor,
        groups=prepared.data.evaluation,
        metrics=metrics,
        scorer=scorer,
        protocol=replace(
            usual,
            num_beams=training.generation_num_beams or usual.num_beams,
            max_new_tokens=training.generation_max_length or usual.max_new_tokens,
            prefix=arguments.eval_prefix,
            image_size=arguments.image_size,
        ),
        batch_size=training.per_device_eval_batch_size,
        folder=prepared.recipe.output / "samples",
        samples=arguments.eval_samples,
    )
