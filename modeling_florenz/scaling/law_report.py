"""Fit every law to a table of runs and gather what is found in one report, in full precision."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from .held_out import CHECKS, check_held_out
from .law_rows import GROUPS, Cell, columns, make_cells, seed_spread
from .laws import bootstrap, fit_law, front
from .offset import fit_offset


SCHEMA = 1
COMPUTE = {"compute": "published: S · F · (1 + P_trained / P)", "backward": "S · (F + 2 · F_trained)"}
SIZES = {"parameters": "all", "without_embeddings": "all but both tables of embeddings"}
PROTOCOL = (
    "least squares of logarithms of base 10 on means over seeds, one value a cell; intervals of 95 % by Student's t, "
    "and by the bootstrap over cells; offset by the Huber loss from 50 starts, with its profile interval; "
    "compute laws on the front of the cells; diverged runs are left out"
)


def make_report(rows: Sequence[dict[str, Any]], arm: str, widths: Collection[int] = ()) -> dict[str, Any]:
    """Fit the laws to the cells of an arm.

    Args:
        rows: of a table that `florenz scaling run` wrote, see `read_rows`.
        arm: name.
        widths: only these; all if there are none.

    Returns:
        `cells`, and under `groups`, by group of losses, the laws. A law that the cells do not determine is
        `{"refused": sentence}`.

    Raises:
        ValueError: the arm has no run, or no group has a law of size and samples.
    """
    cells = make_cells(rows, [arm], widths)
    others = sorted({row["arm"] for row in rows if row["grounding"] == _grounding(rows, arm)})
    spoken = make_cells(rows, others, widths)
    return {
        "schema": SCHEMA,
        "name": "law of scaling",
        "label": "measured-here",
        "protocol": PROTOCOL,
        "arm": arm,
        "widths": sorted({cell.width for cell in cells}),
        "runs": sum(len(cell.losses[GROUPS[0]]) for cell in cells),
        "diverged": sum(row["arm"] == arm and row["diverged"] for row in rows),
        "cells": [asdict(cell) for cell in cells],
        "groups": {group: _group(cells, spoken, group) for group in GROUPS},
    }


def _grounding(rows: Sequence[dict[str, Any]], arm: str) -> float:
    return next(row["grounding"] for row in rows if row["arm"] == arm)


def _group(cells: list[Cell], spoken: list[Cell], group: str) -> dict[str, Any]:
    def on_front(variable: str) -> dict[str, Any]:
        loss = np.array([cell.loss(group) for cell in cells])
        is_front = front(columns(cells, variable)[variable], loss)
        kept = [cell for cell, inside in zip(cells, is_front, strict=True) if inside]
        cells_of_front = [[cell.width, cell.steps] for cell in kept]
        return {"front": cells_of_front} | _or_refused(lambda: _laws(kept, group, variable))

    def held_out(without: str) -> dict[str, Any]:
        return _or_refused(lambda: check_held_out(cells, group, ("parameters", "samples"), without))

    return {
        "seed_spread": seed_spread(cells, group),
        "compute": {name: on_front(name) for name in COMPUTE},
        "size_samples": {size: _laws(cells, group, size, "samples") for size in SIZES},
        "captioned": _or_refused(lambda: _laws(spoken, group, "parameters", "samples", "captioned", offset=False)),
        "held_out": {name: held_out(without) for name, without in CHECKS.items()},
    }


def _laws(cells: Sequence[Cell], group: str, *variables: str, offset: bool = True) -> dict[str, Any]:
    values, loss = columns(cells, *variables), np.array([cell.loss(group) for cell in cells])
    found: dict[str, Any] = {"law": asdict(fit_law(values, loss)), "bootstrap": bootstrap(values, loss)}
    if offset:
        found["with_offset"] = _or_refused(lambda: asdict(fit_offset(values, loss)))
    return found


def _or_refused(fit: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return fit()
    except ValueError as error:
        return {"refused": str(error)}
