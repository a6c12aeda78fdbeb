"""Judge a law on cells that its fit has not seen, beside two baselines that know no law."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .law_rows import Cell, columns
from .laws import Prediction, fit_law, predict


CHECKS = {"without the largest size": "width", "without the largest budget": "steps"}


def check_held_out(cells: Sequence[Cell], group: str, variables: Sequence[str], without: str) -> dict[str, Any]:
    """Fit without the largest size or budget, and predict it.

    Args:
        cells: of one arm.
        group: whose loss is predicted.
        variables: of the law, attributes of `Cell`.
        without: `width` or `steps`: what the cells left out have most of.

    Returns:
        - `cells`: of each cell left out, its loss, the prediction with its band, whether the loss is in the band,
          and the errors of the law and of both baselines, as differences of logarithms of base 10
        - `in_band`: how many do
        - `errors`: means of the absolute errors, of the `law`, the `constant` (the mean of the cells fitted) and the
          `nearest` smaller run

    Raises:
        ValueError: too few cells are left, see `fit_law`.
    """
    largest = max(getattr(cell, without) for cell in cells)
    kept = [cell for cell in cells if getattr(cell, without) < largest]
    law = fit_law(columns(kept, *variables), np.array([cell.loss(group) for cell in kept]))
    constant = float(10 ** np.mean([np.log10(cell.loss(group)) for cell in kept]))
    found = []
    for cell in cells:
        if getattr(cell, without) < largest:
            continue
        band = predict(law, {name: getattr(cell, name) for name in variables})
        guesses = {"law": band.value, "constant": constant, "nearest": nearest_smaller(kept, cell).loss(group)}
        found.append(_judge(cell, group, band, guesses))
    errors = {name: float(np.mean([abs(cell["errors"][name]) for cell in found])) for name in found[0]["errors"]}
    return {"cells": found, "in_band": sum(cell["in_band"] for cell in found), "errors": errors}


def nearest_smaller(kept: Sequence[Cell], cell: Cell) -> Cell:
    """Return the cell of no larger size and no larger budget that is nearest in logarithms of both."""
    smaller = [other for other in kept if other.width <= cell.width and other.steps <= cell.steps]
    return min(
        smaller or kept,
        key=lambda other: abs(np.log(cell.parameters / other.parameters)) + abs(np.log(cell.samples / other.samples)),
    )


def _judge(cell: Cell, group: str, band: Prediction, guesses: dict[str, float]) -> dict[str, Any]:
    loss = cell.loss(group)
    return {
        "width": cell.width,
        "steps": cell.steps,
        "loss": loss,
        "predicted": vars(band),
        "in_band": band.holds(loss),
        "errors": {name: float(np.log10(guess / loss)) for name, guess in guesses.items()},
    }
