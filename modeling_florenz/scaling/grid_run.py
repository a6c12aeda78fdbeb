"""Run a grid: train and measure every run, one row each.

Runs that have a row are not repeated; a run that was killed goes on at its last checkpoint. Several processes share
the work, as each takes runs that no other holds.
"""

import math
import time
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from ..data.emoji_scenes.world import EmojiWorld
from ..evaluation.scene_generation import image_tokens
from ..resumable import InUse, JsonLines, hold, keep_settings
from ..run_record import run_record
from .grid import Grid, Run, read_grid
from .losses import group_losses, held_out_losses
from .measure import measure, measured_scenes
from .train_run import Schedule, train_run


KEY = ("arm", "width", "steps", "seed")


def run_cell(grid: Grid, run: Run, folder: Path) -> dict[str, Any]:
    """Train and measure one run; return its row."""
    start = time.process_time()
    arm = grid.arms[run.arm]
    schedule = Schedule(
        run.steps,
        grid.batch_size,
        grid.learning_rate,
        max(1, round(grid.warmup_share * run.steps)),
        run.width,
        grid.longest(),
    )
    trained = train_run(arm, schedule, run.seed, folder, run.name)
    model, processor = trained["model"], trained["processor"]
    scenes = measured_scenes(EmojiWorld(), grid.scenes)
    world = EmojiWorld()
    losses = held_out_losses(model, processor, world, scenes, image_tokens(model, world, scenes))
    loss = group_losses(losses, arm.captioned)
    accuracy = _means(measure(model, processor, grid.scenes, arm.captioned, ["direct"]))
    if mean(cell["exact"] for cell in accuracy["direct"].values()) >= grid.accuracies_from:
        accuracy = _means(measure(model, processor, grid.scenes))
    tables = {id(model.get_input_embeddings().weight), id(model.model.encoder.embed_tokens.weight)}
    every = {id(value): value.numel() for value in model.parameters()}
    return {
        "arm": run.arm,
        "width": run.width,
        "steps": run.steps,
        "seed": run.seed,
        "label": "measured-here",
        "batch_size": grid.batch_size,
        "samples": run.steps * grid.batch_size,
        "grounding": arm.grounding,
        "captioned": list(arm.captioned),
        "diverged": not all(map(math.isfinite, [*loss.values(), *(value for _, value in trained["loss"])])),
        "parameters": {
            "all": sum(every.values()),
            "without_embeddings": sum(count for key, count in every.items() if key not in tables),
            "trained": sum(value.numel() for value in model.parameters() if value.requires_grad),
        },
        "loss": loss,
        "losses": losses,
        "accuracy": accuracy,
        "train_loss": trained["loss"],
        "seconds": trained["seconds"],
        "core_seconds": round(time.process_time() - start),
        **run_record(),
    }


def _means(found: dict[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    things = sum(map(int, found["nouns"]))

    def reduce(cell: dict[str, str]) -> dict[str, float]:
        return {
            name: sum(map(int, digits)) / things if name == "things" else mean(map(int, digits))
            for name, digits in cell.items()
        }

    return {
        mode: {language: reduce(cell) for language, cell in cells.items()} for mode, cells in found["cells"].items()
    }


def remaining(grid: Grid, rows: Path) -> list[Run]:
    """List the runs without a row.

    Raises:
        ValueError: a line of the rows is broken, lacks a field of the key, or is there twice.
    """
    done = JsonLines(rows, *KEY).entries
    return [run for run in grid.runs() if tuple(getattr(run, name) for name in KEY) not in done]


def check_unchanged(grid: Grid, folder: Path) -> None:
    """Keep the settings of a grid in its folder, or compare them with those that are there.

    Raises:
        ValueError: the folder holds runs of a grid with other settings.
    """
    with hold(folder / "grid.json", wait=True):
        fix = "give another --folder and --rows, or undo the change"
        keep_settings(folder / "grid.json", grid.settings(), f"{folder} holds runs of a grid", fix)


def run_grid(path: Path, folder: Path, rows: Path) -> None:
    """Run what has no row yet, and add its row; several processes share the work.

    Raises:
        ValueError: the grid or the rows are broken, or the grid was changed after its first run.
    """
    torch.set_num_threads(1)
    grid = read_grid(path)
    check_unchanged(grid, folder)
    for run in remaining(grid, rows):
        try:
            with hold(folder / run.name):
                if run not in remaining(grid, rows):  # another process has finished it
                    continue
                print(f"arm {run.arm}, width {run.width}, {run.steps} steps, seed {run.seed}", flush=True)
                row = run_cell(grid, run, folder)
                with hold(rows, wait=True):
                    JsonLines(rows, *KEY).append([row])
        except InUse:
            continue
