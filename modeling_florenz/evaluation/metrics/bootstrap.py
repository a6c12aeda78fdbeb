"""Estimate how certain a score is, and whether two differ, by resampling the test items."""

from collections.abc import Callable

import numpy as np


def interval(
    score: Callable[[np.ndarray], float], items: int, samples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of a score by the bootstrap.

    Args:
        score: returns the score of items, given their indices, which are drawn with replacement.
        items: number of test items.

    Example:

    ```python
    >>> values = np.arange(100.0)
    >>> low, high = interval(lambda drawn: float(values[drawn].mean()), 100)
    >>> low < 49.5 < high
    True
    ```
    """
    rng = np.random.default_rng(seed)
    found = [score(rng.integers(0, items, items)) for _ in range(samples)]
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)


def paired_difference(
    first: Callable[[np.ndarray], float],
    second: Callable[[np.ndarray], float],
    items: int,
    samples: int = 1000,
    seed: int = 0,
) -> tuple[float, tuple[float, float], float]:
    """Return `second - first` on the same items, its 95 % interval, and the p-value of the paired bootstrap.

    As in Koehn (2004), the p-value is twice the share of draws without a difference or with the opposite sign.
    """
    rng = np.random.default_rng(seed)
    whole = np.arange(items)
    difference = second(whole) - first(whole)
    found = np.array([second(drawn) - first(drawn) for drawn in rng.integers(0, items, (samples, items))])
    low, high = np.quantile(found, (0.025, 0.975))
    against = float(np.mean(found <= 0 if difference > 0 else found >= 0))
    return difference, (float(low), float(high)), min(1.0, 2 * against)
