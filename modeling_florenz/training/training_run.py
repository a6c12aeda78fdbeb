"""Train what was prepared, going on where an interrupted run stopped, and measure it."""

import time
from dataclasses import dataclass
from typing import Any

from transformers import EarlyStoppingCallback

from ..run_record import run_record
from .preparation import Prepared
from .trainer import FlorenzTrainer, last_complete_checkpoint
from .training_data import TrainingCollator


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


def train(prepared: Prepared) -> Trained:
    """Train to the last step, from the newest complete checkpoint on, and evaluate at the end."""
    arguments, training = prepared.recipe.arguments, prepared.recipe.training
    patience = arguments.early_stopping_patience
    trainer = FlorenzTrainer(
        model=prepared.trainable,
        args=training,
        data_collator=TrainingCollator(prepared.processor, arguments.image_size, prepared.features),
        train_dataset=prepared.train_data,
        eval_dataset=prepared.eval_data,
        processing_class=prepared.processor,
        callbacks=[EarlyStoppingCallback(patience)] if patience else None,
        loss_chunk_size=arguments.loss_chunk_size,
        vision_train_mode=arguments.vision_train_mode,
        florenz=prepared.model,
        contrasts=prepared.contrasts,
        features=prepared.features,
    )
    start = time.perf_counter()
    outcome = trainer.train(resume_from_checkpoint=last_complete_checkpoint(prepared.recipe.output))
    results = {
        "label": "measured-here",
        "steps": outcome.global_step,
        "training_loss": outcome.training_loss,
        "seconds_of_this_run": round(time.perf_counter() - start, 1),
        "trainable_parameters": sum(p.numel() for p in prepared.trainable.parameters() if p.requires_grad),
        "shares": prepared.train_data.shares,
        "skipped": trainer.skipped,
        "cut_targets": prepared.cut_targets,
        "metrics": trainer.evaluate() if prepared.eval_data is not None else {},
        **run_record(),
    }
    return Trained(prepared, trainer, results)
