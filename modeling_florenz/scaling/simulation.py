"""Ask the fit whether its intervals are true: laws are made up, runs drawn from them, and the laws fitted again.

    python -m modeling_florenz.scaling.simulation --output hub_cards/results/law-simulation.json

Made-up grids have four sizes and four budgets with two seeds each, as the registered one.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from ..resumable import write_json
from ..run_record import run_record
from .laws import fit_law
from .offset import STARTS, fit_offset


TRUTH = (2.3, -0.16, -0.04)  # the paper's law of captions in languages never captioned: constant, size, samples
NOISE = 0.03  # standard deviation of a run's logarithm of base 10
CELL = 0.09  # standard deviation of what the seeds of a cell share
OFFSET = 1.0
PROTOCOL = (
    "grids of 4 sizes x 4 budgets x 2 seeds; logarithm of a run's loss: the law, normal noise of the run, and where "
    "told normal noise that the seeds of a cell share; coverage: share of the three coefficients whose 95 % interval "
    "holds the truth, over all laws; cells: fitted to means over seeds, as florenz scaling fit does; pooled: each run "
    "taken for independent"
)
_SIZES = np.repeat(np.geomspace(4e8, 1.1e10, 4), 4)
_SAMPLES = np.tile(np.geomspace(5e5, 1e7, 4), 4)


def draw_runs(rng: np.random.Generator, noise: float, cell: float, offset: float = 0.0) -> np.ndarray:
    """Return losses of runs `(seeds, cells)` drawn from the true law."""
    law = 10 ** (TRUTH[0] + TRUTH[1] * np.log10(_SIZES) + TRUTH[2] * np.log10(_SAMPLES))
    shared = rng.normal(0, cell, len(_SIZES)) if cell else 0.0
    return (offset + law) * 10 ** (shared + rng.normal(0, noise, (2, len(_SIZES))))


def cell_means(runs: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return variables and losses of the cells, as the fit takes them."""
    return {"parameters": _SIZES, "samples": _SAMPLES}, 10 ** np.log10(runs).mean(0)


def coverage(laws: int, cell: float, pooled: bool = False, seed: int = 0) -> float:
    """Return the share of coefficients whose 95 % interval holds the truth.

    Args:
        laws: to draw.
        cell: standard deviation of what the seeds of a cell share.
        pooled: take every run for independent.
        seed: of the laws; pooled and not, they are the same.

    Example:

    ```python
    >>> coverage(20, cell=0.0) > 0.8
    True
    ```
    """
    rng = np.random.default_rng(seed)
    held = 0
    for _ in range(laws):
        runs = draw_runs(rng, NOISE, cell)
        variables, loss = cell_means(runs)
        if pooled:
            variables, loss = {name: np.tile(values, 2) for name, values in variables.items()}, runs.ravel()
        law = fit_law(variables, loss)
        held += sum(low <= truth <= high for low, truth, high in zip(law.low, TRUTH, law.high, strict=True))
    return held / (3 * laws)


def offsets(laws: int, starts: int, seed: int = 0) -> dict[str, Any]:
    """Fit an offset to laws that have one.

    Returns:
        - `identified`: share of laws whose interval does not reach 0
        - `estimates`: least, middle and largest
        - `held`: share of intervals that hold the truth
        - `contradictions`: laws called identified whose interval reaches 0, or the other way round
        - `converged`: share of starts that end at the best fit
    """
    rng = np.random.default_rng(seed)
    found = [fit_offset(*cell_means(draw_runs(rng, NOISE, 0.0, OFFSET)), starts, seed) for _ in range(laws)]
    estimates = [each.estimates[-1] for each in found]
    return {
        "true": OFFSET,
        "laws": laws,
        "starts": starts,
        "identified": float(np.mean([each.identified for each in found])),
        "estimates": [float(value) for value in np.quantile(estimates, (0, 0.5, 1))],
        "held": float(np.mean([each.interval[0] <= OFFSET <= each.interval[1] for each in found])),
        "contradictions": sum(each.identified != (each.interval[0] > 0) for each in found),
        "converged": sum(each.converged for each in found) / (laws * starts),
    }


def simulate(laws: int) -> dict[str, Any]:
    """Return the coverage with equal noise and with shared noise, and what becomes of an offset."""
    return {
        "laws": laws,
        "noise": NOISE,
        "shared": CELL,
        "coverage": {
            "equal noise, cells": coverage(laws, 0.0),
            "shared noise, cells": coverage(laws, CELL),
            "shared noise, pooled": coverage(laws, CELL, pooled=True),
        },
        "offset": offsets(max(laws // 10, 1), STARTS),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--laws", type=int, default=2000)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    found = simulate(arguments.laws)
    record = {"name": "simulated laws", "label": "measured-here", "protocol": PROTOCOL, **run_record()}
    write_json(arguments.output, record | found)
    for name, value in {**found["coverage"], **found["offset"]}.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
