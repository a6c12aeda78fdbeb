"""Read the table of a grid's runs and reduce it to cells: runs that differ in their seeds only."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoint.loading import BUNDLED_NAME, load_processor
from ..data.emoji_scenes.coverage import Coverage
from ..data.emoji_scenes.wording import LANGUAGES
from ..data.emoji_scenes.world import EmojiWorld
from ..resumable import JsonLines
from ..tiny.model import build_model
from ..tiny.tower import IMAGE_SIZE
from .grid import Grid, Run
from .macs import sample_macs, training_compute


GROUPS = ("unseen_captioning", "seen_translation", "seen_captioning")
_KEY = ("arm", "width", "steps", "seed")
_FIELDS = (*_KEY, "samples", "captioned", "grounding", "diverged", "parameters", "loss")


@dataclass(frozen=True)
class Cell:
    """Hold what runs of one arm, width and length have in common, and the losses of every seed."""

    arm: str
    width: int
    steps: int
    samples: int
    parameters: int
    without_embeddings: int
    captioned: float  # share of the languages whose captions are in training
    compute: float  # as published
    backward: float  # with two products in backward for each in forward
    losses: dict[str, tuple[float, ...]]  # by group, seed by seed

    def loss(self, group: str) -> float:
        """Return the mean over seeds, of logarithms as the fit is."""
        return float(10 ** np.mean(np.log10(self.losses[group])))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read the rows that `florenz scaling run` wrote.

    Raises:
        ValueError: there is no such file, a line is broken, a run is there twice, a field is missing, or a loss is
            not a positive number though its run is not marked as diverged.
    """
    if not path.is_file():
        raise ValueError(f"there is no table of runs at {path}: write one with florenz scaling run")
    rows = list(JsonLines(path, *_KEY).entries.values())
    for row in rows:
        name = "-".join(str(row[field]) for field in _KEY)
        if missing := [field for field in _FIELDS if field not in row]:
            raise ValueError(
                f"{path}: the run {name} has no {missing[0]}: give a table that florenz scaling run wrote"
            )
        for field, parts in (("parameters", ("all", "without_embeddings", "trained")), ("loss", GROUPS)):
            if not isinstance(row[field], dict) or any(part not in row[field] for part in parts):
                raise ValueError(f"{path}: the run {name} has a {field} without {', '.join(parts)}: see its README")
        for group in GROUPS:
            loss = row["loss"][group]
            usable = isinstance(loss, (int, float)) and math.isfinite(loss) and loss > 0
            if not usable and not row["diverged"]:
                raise ValueError(
                    f"{path}: the run {name} has the loss {loss} of {group}: mark it as diverged, or run it again"
                )
    return rows


def whole_cells(rows: Iterable[dict[str, Any]], grid: Grid) -> tuple[list[dict[str, Any]], list[str]]:
    """Keep the rows of cells of a grid whose seeds all have one.

    Returns:
        the rows, and the names of the runs without a row.
    """
    found = {Run(*(row[field] for field in _KEY)): row for row in rows}
    missing = [run for run in grid.runs() if run not in found]
    torn = {(run.arm, run.width, run.steps) for run in missing}
    kept = [row for run, row in found.items() if (run.arm, run.width, run.steps) not in torn]
    return kept, [run.name for run in missing]


def make_cells(rows: Iterable[dict[str, Any]], arms: Collection[str], widths: Collection[int] = ()) -> list[Cell]:
    """Return the cells of arms, without diverged runs, by arm, width and length.

    Args:
        rows: see `read_rows`.
        arms: names.
        widths: only these; all if there are none.

    Raises:
        ValueError: no run is of these arms and widths, or runs of a cell differ in more than the seed.
    """
    runs: dict[tuple[str, int, int], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["arm"] in arms and (not widths or row["width"] in widths) and not row["diverged"]:
            runs[row["arm"], row["width"], row["steps"]].append(row)
    if not runs:
        wanted = f" and width {', '.join(map(str, widths))}" if widths else ""
        raise ValueError(f"the table has no run of arm {', '.join(arms)}{wanted}: name another arm or width")
    return [_cell(found) for _, found in sorted(runs.items())]


def _cell(runs: list[dict[str, Any]]) -> Cell:
    first = runs[0]
    for row in runs[1:]:
        for field in ("samples", "parameters", "captioned", "grounding"):
            if row[field] != first[field]:
                raise ValueError(
                    f"runs of arm {row['arm']}, width {row['width']} and {row['steps']} steps differ in {field}: give "
                    "a table of one grid"
                )
    parameters = first["parameters"]
    macs = first.get("macs") or _run_macs(first["width"])
    share = parameters["trained"] / parameters["all"]
    compute = training_compute(macs["forward"], macs["trained"], first["samples"], share)
    return Cell(
        arm=first["arm"],
        width=first["width"],
        steps=first["steps"],
        samples=first["samples"],
        parameters=parameters["all"],
        without_embeddings=parameters["without_embeddings"],
        captioned=len(first["captioned"]) / len(LANGUAGES),
        compute=compute["published"],
        backward=compute["backward_twice"],
        losses={group: tuple(row["loss"][group] for row in runs) for group in GROUPS},
    )


@cache
def _run_macs(width: int) -> dict[str, int]:
    """Count the MACs of a run whose row does not hold them: models of a grid differ in width only.

    Prompt and target are as long as the mean of a thousand training examples, rounded up.
    """
    processor, world = load_processor(BUNDLED_NAME), EmojiWorld()
    rows = [world.training_texts(index, Coverage(), seed=0) for index in range(1000)]
    prompts = [processor.prompt(row["task"], row["language"], row["source"]) for row in rows]
    targets = [row["target"] for row in rows]

    def mean_length(tokenizer: Any, texts: list[str]) -> int:
        return math.ceil(np.mean([len(ids) for ids in tokenizer(texts)["input_ids"]]))

    model = build_model(processor, width)
    model.model.vision_tower.requires_grad_(False)
    return sample_macs(
        model,
        mean_length(processor.encoder_tokenizer, prompts),
        mean_length(processor.tokenizer, targets),
        IMAGE_SIZE,
    )


def columns(cells: Iterable[Cell], *names: str) -> dict[str, np.ndarray]:
    """Return values of cells by name, as the fits take them; each `(cells,)`."""
    cells = list(cells)
    return {name: np.array([float(getattr(cell, name)) for cell in cells]) for name in names}


def seed_spread(cells: Iterable[Cell], group: str) -> dict[str, float] | None:
    """Return how far seeds of a cell differ: the pooled standard deviation of logarithms, and as a factor.

    None where no cell has two seeds.
    """
    deviations = [np.log10(cell.losses[group]) for cell in cells if len(cell.losses[group]) > 1]
    freedom = sum(len(values) - 1 for values in deviations)
    if not freedom:
        return None
    deviation = math.sqrt(sum(float(((values - values.mean()) ** 2).sum()) for values in deviations) / freedom)
    return {"log10": deviation, "factor": 10**deviation}
