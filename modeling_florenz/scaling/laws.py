"""Fit laws of the form `loss = 10^b0 · x1^b1 · x2^b2 ...` by least squares of logarithms, and predict from them.

One value per cell, the mean over its seeds: seeds of a cell share what makes the cell deviate from the law, and a fit
that takes them for independent has intervals that are too narrow.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..extras import install_command


CELLS_PER_COEFFICIENT = 3
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Law:
    """Hold a fitted law, with all that a prediction needs; logarithms are of base 10."""

    terms: tuple[str, ...]  # the constant, then the variables
    estimates: tuple[float, ...]
    low: tuple[float, ...]  # ends of the 95 % intervals
    high: tuple[float, ...]
    p_values: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    variance: float  # of a cell around the law
    quantile: float  # of Student's t, for an interval of 95 %
    r_squared: float
    cells: int
    ranges: dict[str, tuple[float, float]]  # of the variables in the fit


@dataclass(frozen=True)
class Prediction:
    """Hold a predicted loss with the band in which the mean of a new cell lies with 95 % probability."""

    value: float
    low: float
    high: float

    def holds(self, loss: float) -> bool:
        """Return whether a loss is in the band."""
        return self.low <= loss <= self.high


def check_cells(variables: Mapping[str, np.ndarray], loss: np.ndarray) -> None:
    """Refuse what cannot determine a law.

    Args:
        variables: values `(cells,)` by name.
        loss: of the cells, `(cells,)`.

    Raises:
        ValueError: there are fewer than three cells per coefficient, a value is not a positive number, a variable is
            the same in all cells, or variables change only together.
    """
    coefficients = len(variables) + 1
    if len(loss) < CELLS_PER_COEFFICIENT * coefficients:
        raise ValueError(
            f"{len(loss)} cells are too few for {coefficients} coefficients: a law needs at least "
            f"{CELLS_PER_COEFFICIENT * coefficients}, so add widths or budgets"
        )
    for name, values in {**variables, "loss": loss}.items():
        wrong = values[~(np.isfinite(values) & (values > 0))]
        if len(wrong):
            raise ValueError(f"{name} is {wrong[0]} in a cell: logarithms need finite numbers above 0")
    for name, values in variables.items():
        if np.ptp(np.log10(values)) < 1e-9:
            raise ValueError(
                f"{name} is {values[0]:g} in all {len(values)} cells: a law in it needs at least two values"
            )
    if np.linalg.matrix_rank(design(variables), tol=1e-6) < coefficients:
        raise ValueError(
            f"{' and '.join(variables)} change only together in these cells: a law cannot tell them apart, so fill "
            "the grid"
        )


def design(variables: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the matrix of the fit `(cells, coefficients)`: ones, then the variables' logarithms."""
    columns = [np.log10(values) for values in variables.values()]
    return np.column_stack([np.ones(len(columns[0])), *columns])


def fit_law(variables: Mapping[str, np.ndarray], loss: np.ndarray) -> Law:
    """Fit a law to cells.

    Args:
        variables: values `(cells,)` by name, such as parameters and samples.
        loss: means over seeds, `(cells,)`.

    Raises:
        ValueError: the cells do not determine the law (see `check_cells`), or statsmodels is missing.

    Example:

    ```python
    >>> samples = np.array([1e3, 1e4, 1e5, 1e6, 1e7, 1e8])
    >>> law = fit_law({"samples": samples}, 5 * samples**-0.2)
    >>> [round(value, 6) for value in law.estimates]
    [0.69897, -0.2]
    ```
    """
    try:
        from statsmodels.api import OLS
    except ModuleNotFoundError:
        raise ValueError(f"laws need statsmodels and scipy: {install_command('scaling')}") from None
    from scipy.stats import t

    check_cells(variables, loss)
    found: Any = OLS(np.log10(loss), design(variables)).fit()
    low, high = found.conf_int(1 - CONFIDENCE).T
    return Law(
        terms=("constant", *variables),
        estimates=_tuple(found.params),
        low=_tuple(low),
        high=_tuple(high),
        p_values=_tuple(found.pvalues),
        covariance=tuple(_tuple(row) for row in found.cov_params()),
        variance=float(found.mse_resid),
        quantile=float(t.ppf((1 + CONFIDENCE) / 2, found.df_resid)),
        r_squared=float(found.rsquared),
        cells=len(loss),
        ranges={name: (float(values.min()), float(values.max())) for name, values in variables.items()},
    )


def predict(law: Law, values: Mapping[str, float]) -> Prediction:
    """Predict the loss of a new cell, with its prediction band.

    Args:
        law: a fitted law.
        values: of its variables, by name.

    Raises:
        ValueError: a variable is missing, or not a positive number.
    """
    for name in law.terms[1:]:
        if not (np.isfinite(values.get(name, np.nan)) and values[name] > 0):
            raise ValueError(f"{name} must be a number above 0, not {values.get(name)!r}")
    point = design({name: np.array([values[name]]) for name in law.terms[1:]})[0]
    middle = float(point @ np.array(law.estimates))
    spread = law.quantile * float(np.sqrt(law.variance + point @ np.array(law.covariance) @ point))
    return Prediction(*(float(10**power) for power in (middle, middle - spread, middle + spread)))


def beyond(law: Law, values: Mapping[str, float], factor: float = 2.0) -> list[str]:
    """Name the variables that lie more than `factor` outside the range of the fit."""
    return [
        name for name, (low, high) in law.ranges.items() if not low / factor <= values.get(name, low) <= high * factor
    ]


def residuals(law: Law, variables: Mapping[str, np.ndarray], loss: np.ndarray) -> np.ndarray:
    """Return how far cells are from the law, as differences of logarithms `(cells,)`."""
    return np.log10(loss) - design(variables) @ np.array(law.estimates)


def bootstrap(
    variables: Mapping[str, np.ndarray], loss: np.ndarray, draws: int = 2000, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Return 95 % percentile intervals of the coefficients over resampled cells, by term.

    Draws whose cells do not determine the law are left out.
    """
    matrix, target = design(variables), np.log10(loss)
    chosen = np.random.default_rng(seed).integers(len(loss), size=(draws, len(loss)))
    chosen = chosen[np.linalg.matrix_rank(matrix[chosen], tol=1e-6) == matrix.shape[1]]
    found = np.squeeze(np.linalg.pinv(matrix[chosen]) @ target[chosen][..., None], -1)
    low, high = np.quantile(found, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2), axis=0)
    terms = ("constant", *variables)
    return {name: (float(a), float(b)) for name, a, b in zip(terms, low, high, strict=True)}


def front(compute: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """Return which cells no other cell beats with as little compute, `(cells,)` of bool.

    Example:

    ```python
    >>> front(np.array([1.0, 2.0, 3.0]), np.array([0.9, 0.95, 0.5])).tolist()
    [True, False, True]
    ```
    """
    return np.array([loss[i] <= loss[compute <= compute[i]].min() for i in range(len(loss))])


def _tuple(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
