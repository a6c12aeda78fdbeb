"""Fit laws with an offset, `loss = 10^b0 · x1^b1 ... + offset`: the loss that no size and no budget goes below.

A small grid rarely says what the offset is: its profile interval then reaches 0, and the law without it leads.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .laws import CONFIDENCE, check_cells, design


STARTS = 50
_MOST = 0.999  # of the least loss: an offset stays below every loss
_ROBUST = 1.345 * 1.4826  # Huber's bend in standard deviations, times what makes a median deviation one


@dataclass(frozen=True)
class OffsetLaw:
    """Hold a law with its offset; logarithms are of base 10."""

    terms: tuple[str, ...]  # the constant, the variables, the offset
    estimates: tuple[float, ...]
    interval: tuple[float, float]  # of the offset: its 95 % profile interval
    identified: bool  # the interval does not reach 0
    aicc: float
    aicc_without: float  # of the law without an offset, in the same loss
    starts: int
    converged: int  # starts that end at the best fit


def fit_offset(
    variables: Mapping[str, np.ndarray], loss: np.ndarray, starts: int = STARTS, seed: int = 0
) -> OffsetLaw:
    """Fit a law with an offset by the Huber loss of logarithms, from many starts.

    Args:
        variables: values `(cells,)` by name.
        loss: means over seeds, `(cells,)`.
        starts: of the search, drawn at random.
        seed: of the starts.

    Raises:
        ValueError: the cells do not determine the law, see `check_cells`; the offset counts as a coefficient.
    """
    check_cells({**variables}, loss)
    coefficients = len(variables) + 2
    if len(loss) < 3 * coefficients:
        raise ValueError(
            f"{len(loss)} cells are too few for {coefficients} coefficients: a law with an offset needs at least "
            f"{3 * coefficients}, so add widths or budgets"
        )
    fit = _Fit(variables, loss)
    rng = np.random.default_rng(seed)
    ends = []
    for _ in range(starts):
        offset = rng.uniform(0, _MOST) * loss.min()
        start = fit.without_robustness(offset)
        ends.append(fit.search(start + rng.normal(0, 0.2, len(start)) * np.maximum(np.abs(start), 0.1), offset))
    cost, best, offset = min(ends, key=lambda end: end[0])
    without = fit.fixed(0.0)
    if without <= cost:  # the search keeps away from the bounds by a hair
        cost, best, offset = without, fit.last, 0.0
    count = len(loss)
    from scipy.optimize import brentq
    from scipy.stats import f

    # Where residuals are normal, this is the F test of the offset against the fit's own variance.
    freedom = count - coefficients
    limit = max(cost, 1e-15) * (1 + float(f.ppf(CONFIDENCE, 1, freedom)) / freedom)

    def excess(point: float) -> float:
        return fit.fixed(point) - limit

    most = _MOST * float(loss.min())
    identified = without > limit
    low = float(brentq(excess, 0.0, offset)) if identified else 0.0
    high = float(brentq(excess, offset, most)) if offset < most and excess(most) > 0 else most
    slopes = best.copy()
    slopes[0] -= slopes[1:] @ fit.centre
    return OffsetLaw(
        terms=("constant", *variables, "offset"),
        estimates=(*(float(value) for value in slopes), float(offset)),
        interval=(low, high),
        identified=bool(identified),
        aicc=_aicc(cost, count, coefficients),
        aicc_without=_aicc(without, count, coefficients - 1),
        starts=starts,
        converged=sum(end[0] <= cost * 1.001 + 1e-12 for end in ends),
    )


def _aicc(cost: float, count: int, coefficients: int) -> float:
    parameters = coefficients + 1  # the variance is one too
    correction = 2 * parameters * (parameters + 1) / (count - parameters - 1)
    return float(count * np.log(max(2 * cost, 1e-300) / count) + 2 * parameters + correction)


class _Fit:
    """Search for coefficients of centred logarithms, with the offset free or fixed."""

    def __init__(self, variables: Mapping[str, np.ndarray], loss: np.ndarray) -> None:
        self.matrix, self.loss, self.target = design(variables), loss, np.log10(loss)
        self.centre = self.matrix[:, 1:].mean(0)
        self.matrix[:, 1:] -= self.centre
        off = np.abs(self.target - self.matrix @ self.without_robustness(0.0))
        self.bend = max(_ROBUST * float(np.median(off)), 1e-6)
        self.last = self.without_robustness(0.0)

    def without_robustness(self, offset: float) -> np.ndarray:
        """Solve by least squares of the logarithms of what lies above the offset."""
        return np.linalg.lstsq(self.matrix, np.log10(self.loss - offset), rcond=None)[0]

    def _residuals(self, values: np.ndarray, offset: float) -> np.ndarray:
        powers = np.clip(self.matrix @ values, -300, 300)
        return np.log10(offset + 10**powers) - self.target

    def _slopes(self, values: np.ndarray, offset: float) -> tuple[np.ndarray, np.ndarray]:
        # Derivatives of the residuals by the coefficients and by the offset.
        powers = 10 ** np.clip(self.matrix @ values, -300, 300)
        return self.matrix * (powers / (offset + powers))[:, None], 1 / (np.log(10) * (offset + powers))

    def search(self, values: np.ndarray, offset: float) -> tuple[float, np.ndarray, float]:
        """Return cost, coefficients and offset of the fit that a start leads to."""
        from scipy.optimize import least_squares

        scale = self.loss.min()
        bound = np.full(len(values), np.inf)

        def slopes(end: np.ndarray) -> np.ndarray:
            by_values, by_offset = self._slopes(end[:-1], end[-1] * scale)
            return np.column_stack([by_values, by_offset * scale])

        # Far from the cells the Huber loss has hardly a slope: squares lead there first.
        end = np.array([*values, offset / scale])
        for loss in ("linear", "huber"):
            found = least_squares(
                lambda end: self._residuals(end[:-1], end[-1] * scale),
                np.clip(end, [*-bound, 0.0], [*bound, _MOST]),
                slopes,
                bounds=([*-bound, 0.0], [*bound, _MOST]),
                loss=loss,
                f_scale=self.bend,
                x_scale="jac",
                max_nfev=500,
            )
            end = found.x
        return float(found.cost), found.x[:-1], float(found.x[-1] * scale)

    def fixed(self, offset: float) -> float:
        """Return the least cost with this offset; `last` then holds the coefficients."""
        from scipy.optimize import least_squares

        found = least_squares(
            lambda values: self._residuals(values, offset),
            self.without_robustness(offset),
            lambda values: self._slopes(values, offset)[0],
            loss="huber",
            f_scale=self.bend,
        )
        self.last = found.x
        return float(found.cost)
