"""Train one run of an experiment: an arm with a seed, on the bundled model's tower and tokenizers."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import Trainer, TrainingArguments, set_seed
from transformers.trainer_utils import get_last_checkpoint

from ..checkpoint.loading import BUNDLED_NAME, load_model, load_processor
from ..data.emoji_scenes.world import EmojiWorld
from ..modeling_florenz import FlorenzForConditionalGeneration
from ..processing_florenz import FlorenzProcessor
from ..resumable import whole_folder
from ..tiny.model import WIDTH, build_model
from ..tiny.tower import IMAGE_SIZE
from ..training.tower_features import tower_features
from .arms import Arm
from .scene_batches import FeatureCollator, SceneTexts, SceneTrainer
from .self_taught import SelfTaughtScenes, pivot_captions


SELF_TAUGHT = (3e-4, 30)  # learning rate and steps of warm-up


def hidden_shares(rows: SceneTexts, count: int) -> dict[str, dict[str, float]]:
    """Count over the first rows what the sources of translations name: all, some or none of the things.

    Returns:
        shares by target language, then by `all`, `some`, `none`.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for index in range(min(count, len(rows))):
        row = rows.world.training_texts(index, rows.coverage, rows.seed)
        if row["task"] == "translate":
            things = len(row["scene"].nouns)
            kind = "all" if not row["hidden"] else "none" if row["hidden"] == things else "some"
            counts[row["language"]][kind] += 1
    return {
        language: {kind: round(found[kind] / found.total(), 4) for kind in ("all", "some", "none")}
        for language, found in sorted(counts.items())
    }


@dataclass(frozen=True)
class Schedule:
    """Describe a run's length and size; with the defaults, it has the width of florenz-tiny."""

    steps: int
    batch_size: int
    learning_rate: float
    warmup_steps: int
    width: int = WIDTH
    longest: int = 0  # steps of the longest run that shares the features; 0 for this one's


def train_run(
    arm: Arm, schedule: Schedule, seed: int, folder: Path, name: str, tower: Path | None = None
) -> dict[str, Any]:
    """Train a run, or go on with it, in `folder/NAME`; features are shared in `folder`.

    It runs on the GPU if there is one. Its own full schedule ends in the last step: no run is a part of a longer one.

    Args:
        arm: what the run differs in.
        schedule: length and size.
        seed: of weights and data.
        folder: of all runs of the experiment.
        name: of this run's folder.
        tower: safetensors file of a trained vision tower; without it, the bundled model's is used.

    Returns:
        `model`, `processor`, `loss` (steps and training losses), `seconds` of training, `hidden` (see
        `hidden_shares`).
    """
    world = EmojiWorld(image_size=IMAGE_SIZE)
    processor = load_processor(BUNDLED_NAME)
    set_seed(seed)
    model = build_model(processor, schedule.width)
    trained = load_model(BUNDLED_NAME).model.vision_tower.state_dict() if tower is None else load_file(tower)
    model.model.vision_tower.load_state_dict(trained)
    model.model.vision_tower.requires_grad_(False)
    if arm.start:
        start = load_model(folder / f"{arm.start}-{seed}" / "model")
        model.load_state_dict(start.state_dict())
    if torch.cuda.is_available():
        model.cuda()  # type: ignore[call-arg]
    rows = _rows(arm, schedule, world, seed, folder, model, processor)
    output = folder / name
    trainer = scene_trainer(arm, schedule, seed, output, model, processor, rows)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(output)) if output.is_dir() else None)
    with whole_folder(output / "model", replace=True) as partial:
        model.save_pretrained(partial)
        processor.save_pretrained(partial)
    return {"model": model, "processor": processor, **_log(trainer), "hidden": _shares(rows)}


def scene_trainer(
    arm: Arm,
    schedule: Schedule,
    seed: int,
    output: Path,
    model: FlorenzForConditionalGeneration,
    processor: FlorenzProcessor,
    rows: Any,
) -> SceneTrainer:
    """Return the trainer of a run, with its optimiser's settings."""
    learning_rate, warmup_steps = schedule.learning_rate, schedule.warmup_steps
    if arm.self_taught_steps:
        learning_rate, warmup_steps = SELF_TAUGHT
    return SceneTrainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(output),
            max_steps=arm.self_taught_steps or schedule.steps,
            per_device_train_batch_size=schedule.batch_size,
            learning_rate=learning_rate,
            warmup_steps=warmup_steps,
            lr_scheduler_type="cosine",
            weight_decay=0.01,
            adam_beta2=0.98,
            max_grad_norm=1.0,
            save_steps=500,
            save_total_limit=1,
            logging_steps=100,
            logging_nan_inf_filter=False,  # a diverged run must show it
            seed=seed,
            remove_unused_columns=False,
            train_sampling_strategy="sequential",
            report_to=[],
            bf16=True,
            use_cpu=not torch.cuda.is_available(),
            disable_tqdm=False,
        ),
        data_collator=FeatureCollator(processor, align=bool(arm.alignment)),
        train_dataset=rows,
        alignment=arm.alignment,
    )


def _rows(
    arm: Arm,
    schedule: Schedule,
    world: EmojiWorld,
    seed: int,
    folder: Path,
    model: FlorenzForConditionalGeneration,
    processor: FlorenzProcessor,
) -> Any:
    tower = model.model.vision_tower.eval()
    if not arm.self_taught_steps:
        count = schedule.steps * schedule.batch_size
        room = (schedule.longest or schedule.steps) * schedule.batch_size
        features = tower_features(folder / f"scenes-{seed}.npy", tower, world, seed, count, room=room)
        return SceneTexts(world, arm.coverage(world), seed, features, arm.other_image)
    count = arm.self_taught_steps * schedule.batch_size
    first = 10_000_000  # far from what was trained on
    features = tower_features(folder / f"unlabelled-{seed}.npy", tower, world, seed, count, first)
    path = folder / f"pivot-{arm.start}-{seed}.jsonl"
    captions = pivot_captions(path, model, processor, features, count // 2, arm.self_taught_tasks)
    return SelfTaughtScenes(world, arm.coverage(world), seed, features, captions)


def _shares(rows: Any) -> dict[str, dict[str, float]]:
    return hidden_shares(rows, 20_000) if isinstance(rows, SceneTexts) else {}


def _log(trainer: Trainer) -> dict[str, Any]:
    history = trainer.state.log_history
    losses = [[entry["step"], round(entry["loss"], 5)] for entry in history if "loss" in entry]
    seconds = sum(entry.get("train_runtime", 0) for entry in history)
    return {"loss": losses, "seconds": round(seconds)}
