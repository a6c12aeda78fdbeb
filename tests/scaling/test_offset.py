"""An offset comes back where the cells tell it, is not identified where they do not, and every start finds it."""

import numpy as np
import pytest


pytest.importorskip("scipy")

from modeling_florenz.scaling.offset import fit_offset  # noqa: E402


SIZES = np.repeat(np.geomspace(1e6, 1e9, 4), 8)
SAMPLES = np.tile(np.geomspace(1e4, 1e8, 8), 4)


def losses(offset: float, noise: float, seed: int = 0) -> np.ndarray:
    clean = offset + 10 ** (3.0 - 0.25 * np.log10(SIZES) - 0.15 * np.log10(SAMPLES))
    return clean * 10 ** np.random.default_rng(seed).normal(0, noise, len(SIZES))


VARIABLES = {"parameters": SIZES, "samples": SAMPLES}


def test_all_fifty_starts_converge_to_the_law_that_made_the_cells():
    found = fit_offset(VARIABLES, losses(offset=0.5, noise=0.002))
    assert (found.converged, found.starts) == (50, 50)
    assert found.identified and found.interval[0] <= 0.5 <= found.interval[1]
    assert found.estimates == pytest.approx((3.0, -0.25, -0.15, 0.5), rel=0.1)
    assert found.aicc < found.aicc_without


def test_an_offset_that_is_not_there_is_not_identified():
    found = fit_offset(VARIABLES, losses(offset=0.0, noise=0.03), starts=10)
    assert not found.identified and found.interval[0] == 0.0
    assert found.aicc > found.aicc_without - 1


def test_an_outlier_moves_the_offset_little():
    clean = losses(offset=0.5, noise=0.005)
    spoiled = clean.copy()
    spoiled[12] *= 2
    first, second = (fit_offset(VARIABLES, loss, starts=5) for loss in (clean, spoiled))
    assert second.estimates[-1] == pytest.approx(first.estimates[-1], abs=0.05)


def test_too_few_cells_for_an_offset_are_refused():
    some = {name: values[::3] for name, values in VARIABLES.items()}
    with pytest.raises(ValueError, match="11 cells are too few for 4 coefficients"):
        fit_offset(some, losses(0.5, 0.01)[::3])
