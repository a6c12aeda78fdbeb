"""Estimate what a grid costs, from a few timed steps of each width."""

import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback

from ..checkpoint.loading import BUNDLED_NAME, load_processor
from ..data.emoji_scenes.world import EmojiWorld
from ..tiny.model import build_model
from ..tiny.tower import IMAGE_SIZE
from .arms import Arm
from .grid import Grid, Run
from .scene_batches import SceneTexts
from .train_run import Schedule, scene_trainer


WARM_UP, TIMED = 3, 10
GRID = 6  # of the tower's output for an image of 96 px


class _Clock(TrainerCallback):
    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            self.times.append(time.perf_counter())
        else:
            self.times.append(time.process_time())


def step_seconds(width: int, batch_size: int) -> float:
    """Return the seconds of a training step: of CPU time, or of a GPU where there is one.

    Args:
        width: of encoder and decoder.
        batch_size: examples per step.
    """
    arm, steps = Arm("plain", (0,)), WARM_UP + TIMED
    processor, world = load_processor(BUNDLED_NAME), EmojiWorld(image_size=IMAGE_SIZE)
    model = build_model(processor, width)
    model.model.vision_tower.requires_grad_(False)
    channels = model.config.vision_config.embed_dim[-1]
    features = np.zeros((steps * batch_size, channels, GRID, GRID), np.float16)
    clock = _Clock()
    with tempfile.TemporaryDirectory() as folder:
        rows = SceneTexts(world, arm.coverage(world), 0, features)
        schedule = Schedule(steps, batch_size, 1e-4, 1, width)
        trainer = scene_trainer(arm, schedule, 0, Path(folder), model, processor, rows)
        trainer.add_callback(clock)
        trainer.train()
    return (clock.times[-1] - clock.times[WARM_UP - 1]) / TIMED


def core_hours(grid: Grid, runs: Sequence[Run]) -> float:
    """Return the hours that training these runs takes one core, or a GPU if there is one.

    Measuring the runs, and the tower's features, come on top.
    """
    steps: Counter[int] = Counter()
    for run in runs:
        steps[run.width] += run.steps
    return sum(count * step_seconds(width, grid.batch_size) for width, count in steps.items()) / 3600
