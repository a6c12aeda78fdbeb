"""Laws come back from cells made from them, predictions hold their bands, and what cannot be fitted is refused."""

import numpy as np
import pytest


pytest.importorskip("statsmodels")

from modeling_florenz.scaling.laws import beyond, bootstrap, fit_law, front, predict, residuals  # noqa: E402


# Constant, slope of parameters and slope of samples: the paper's Table 3, to two digits as printed, and its intervals.
TABLE_3 = {
    "unseen captioning": (2.30, -0.16, -0.04),
    "seen translation": (3.03, -0.15, -0.19),
    "seen captioning": (2.20, -0.13, -0.15),
}
INTERVALS = {
    "unseen captioning": ((1.95, 2.66), (-0.19, -0.13), (-0.08, -0.01)),
    "seen translation": ((2.55, 3.50), (-0.19, -0.11), (-0.24, -0.15)),
    "seen captioning": ((2.02, 2.38), (-0.14, -0.11), (-0.16, -0.13)),
}
SIZES = np.repeat([428_838_400, 1_039_697_920, 3_485_001_498, 11_221_849_642], 4).astype(float)
SAMPLES = np.tile([512_000, 2_048_000, 5_120_000, 10_240_000], 4).astype(float)


def grid(noise: float = 0.0, slopes: tuple[float, float, float] = TABLE_3["unseen captioning"], seed: int = 0):
    variables = {"parameters": SIZES, "samples": SAMPLES}
    powers = slopes[0] + slopes[1] * np.log10(SIZES) + slopes[2] * np.log10(SAMPLES)
    return variables, 10 ** (powers + np.random.default_rng(seed).normal(0, noise, len(SIZES)))


@pytest.mark.parametrize("group", TABLE_3)
def test_the_coefficients_of_the_paper_come_back_within_their_intervals_from_its_rounded_losses(group):
    variables, loss = grid(slopes=TABLE_3[group])
    law = fit_law(variables, np.round(loss, 2))
    for low, truth, high in zip(law.low, TABLE_3[group], law.high, strict=True):
        assert low <= truth <= high
    for estimate, (low, high) in zip(law.estimates, INTERVALS[group], strict=True):
        assert low <= estimate <= high
    assert law.estimates == pytest.approx(TABLE_3[group], abs=0.05)
    assert law.r_squared > 0.99


def test_a_prediction_is_the_law_and_its_band_is_wider_far_from_the_cells():
    variables, loss = grid(noise=0.02)
    law = fit_law(variables, loss)
    near = predict(law, {"parameters": 1e9, "samples": 4e6})
    far = predict(law, {"parameters": 1e13, "samples": 4e6})
    assert near.value == pytest.approx(10 ** (2.30 - 0.16 * 9 - 0.04 * np.log10(4e6)), rel=0.05)
    assert near.low < near.value < near.high and near.holds(near.value) and not near.holds(2 * near.high)
    assert np.log(far.high / far.low) > 1.5 * np.log(near.high / near.low)


def test_bands_hold_new_cells_as_often_as_they_say():
    held = []
    for seed in range(300):
        variables, loss = grid(noise=0.05, seed=seed)
        new = np.random.default_rng(1000 + seed).normal(0, 0.05) + 2.30 - 0.16 * 10 - 0.04 * 7
        held.append(predict(fit_law(variables, loss), {"parameters": 1e10, "samples": 1e7}).holds(10**new))
    assert 0.91 <= np.mean(held) <= 0.98


def test_twice_the_fitted_range_is_the_limit_of_a_warning():
    variables, loss = grid(noise=0.01)
    law = fit_law(variables, loss)
    assert beyond(law, {"parameters": 2 * SIZES.max(), "samples": SAMPLES.min() / 2}) == []
    assert beyond(law, {"parameters": 2.1 * SIZES.max(), "samples": SAMPLES.min() / 2.1}) == ["parameters", "samples"]


def test_residuals_add_up_to_nothing_and_the_bootstrap_holds_the_estimate():
    variables, loss = grid(noise=0.05)
    law = fit_law(variables, loss)
    assert residuals(law, variables, loss).sum() == pytest.approx(0, abs=1e-9)
    intervals = bootstrap(variables, loss, draws=300)
    for term, estimate in zip(law.terms, law.estimates, strict=True):
        low, high = intervals[term]
        assert low < estimate < high
    assert bootstrap(variables, loss, draws=300) == intervals


def test_the_front_leaves_out_what_cheaper_cells_beat():
    compute, loss = np.array([1.0, 2.0, 2.0, 3.0, 4.0]), np.array([5.0, 4.0, 4.5, 4.2, 3.0])
    assert front(compute, loss).tolist() == [True, True, False, False, True]


def test_what_does_not_determine_a_law_is_refused():
    variables, loss = grid(noise=0.01)
    few = {name: values[:8] for name, values in variables.items()}
    with pytest.raises(ValueError, match="8 cells are too few for 3 coefficients: a law needs at least 9"):
        fit_law(few, loss[:8])
    with pytest.raises(ValueError, match="samples is 100 in all 16 cells"):
        fit_law({**variables, "samples": np.full(16, 100.0)}, loss)
    with pytest.raises(ValueError, match="loss is nan in a cell"):
        fit_law(variables, np.where(np.arange(16) == 3, np.nan, loss))
    with pytest.raises(ValueError, match="change only together"):
        fit_law({"parameters": SIZES, "samples": SIZES**2}, loss)
    with pytest.raises(ValueError, match="samples must be a number above 0"):
        predict(fit_law(variables, loss), {"parameters": 1e9})
