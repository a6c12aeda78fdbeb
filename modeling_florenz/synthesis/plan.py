"""Say what a run would do: counts, models, hours and disk, by what the steps took so far."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from .evaluation_sets import EvaluationSets
from .pipeline import work_folder
from .recipe import Recipe
from .shards import rate_of, shard_meta
from .sources import check_lines, image_batches


# Rows a second and bytes a row where nothing was measured: one core, and models of the paper's size on one GPU.
_ASSUMED = {
    "images": (100, 150_000),
    "deduplicate": (300, 30),
    "describe": (2, 300),
    "translate": (5, 600),
    "bitexts": (2_000, 150),
    "embed": (50, 3_000),
    "match": (300, 400),
    "assemble": (200, 150_000),
}


@dataclass(frozen=True)
class PlannedStep:
    """Hold what a step still has to do.

    Args:
        rows: that it reads in all.
        done: of them in finished shards.
        model: that it asks; empty if none.
        hours, gigabytes: of the rows that are left; of all rows.
        measured: whether they follow from finished shards.
    """

    name: str
    rows: int
    done: int
    model: str
    hours: float
    gigabytes: float
    measured: bool


def plan(recipe: Recipe, folder: Path, limit: int = 0) -> list[PlannedStep]:
    """Plan a run, without making anything.

    Raises:
        ValueError: an input is missing, or evaluation sets are not known.
    """
    work = work_folder(folder)
    lines, languages = check_lines(recipe.bitexts), recipe.assemble.translations
    files = sum(len([code for code in entry.translations if code in languages]) for entry in recipe.bitexts)
    if limit:
        lines = min(lines, limit * files + sum(min(entry.scenes, limit) for entry in recipe.bitexts))
    images = sum(batch.rows for batch in image_batches(recipe.images, recipe.shard, limit))
    if not images:
        raise ValueError("images.paths names no image: name files, folders, parquet tables or tar archives")
    steps = [("images", images, ""), ("deduplicate", images, "")]
    if recipe.describe:
        steps.append(("describe", images, recipe.describe.endpoint or recipe.describe.model))
        steps.append(("translate", images, recipe.translate.model if recipe.translate else ""))
    if recipe.match:
        steps += [("bitexts", lines, ""), ("embed", images, recipe.match.model), ("match", lines, recipe.match.model)]
    return [_planned(work, *step) for step in [*steps, ("assemble", images, "")]]


def describe_plan(recipe: Recipe, steps: list[PlannedStep], folder: Path) -> list[str]:
    """Lay a plan out in lines."""
    found = [f"{'step':<12}{'rows':>12}{'done':>12}{'hours':>10}{'GB':>10}  model"]
    for step in steps:
        mark = "" if step.measured else " (assumed)"
        took, disk = f"{step.hours:.3g}", f"{step.gigabytes:.3g}"
        found.append(f"{step.name:<12}{step.rows:>12,}{step.done:>12,}{took:>10}{disk:>10}  {step.model}{mark}")
    hours, size = sum(step.hours for step in steps), sum(step.gigabytes for step in steps)
    found.append(f"in all: {hours:.3g} hours and {size:.3g} GB; {_free(folder):.3g} GB are free")
    tested = EvaluationSets(recipe.decontaminate.data_folder, list(recipe.decontaminate.skip))
    found.append(f"compared with: {', '.join(tested.found) or 'no evaluation set'}")
    if tested.missing:
        found.append(f"not compared, for their folders are not there: {', '.join(tested.missing)}")
    if any(not step.measured for step in steps):
        found.append("assumed figures are rough: run with --limit first, and plan again")
    return found


def _planned(work: Path, name: str, rows: int, model: str) -> PlannedStep:
    folder = work / name
    done = min(rows, sum(meta["read"] for meta in map(shard_meta, _shards(folder)) if meta))
    rate = rate_of(folder)
    start, pace, size = 0.0, *map(float, _ASSUMED[name])
    seconds = 1 / pace
    if rate:
        every = rate["first_rows"] + rate["rows"]
        size = rate["bytes"] / every
        seconds = rate["seconds"] / rate["rows"] if rate["rows"] else rate["first_seconds"] / every
        start = max(0.0, (rate["first_seconds"] - rate["first_rows"] * seconds) / rate["runs"]) if rows > done else 0.0
    hours = (start + (rows - done) * seconds) / 3600
    return PlannedStep(name, rows, done, model, hours, rows * size / 1e9, bool(rate))


def _shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"))


def _free(folder: Path) -> float:
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free / 1e9
