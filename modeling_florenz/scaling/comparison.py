"""Compare runs scene by scene: means, and intervals of differences by the bootstrap over scenes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np


UNTAUGHT = ("fr", "es", "ru", "zh")  # languages whose captions are in no arm's training
TAUGHT = ("en", "de")
SAMPLES = 10_000
# Half of the scenes show only nouns that are never hidden, the other half only nouns of the hidden half.
SUBSETS = ("all", "never hidden", "hidden half")


@dataclass(frozen=True)
class Estimate:
    """Hold a value with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


def scene_scores(
    row: dict[str, Any], mode: str, measure: str, languages: Sequence[str], subset: str = "all"
) -> np.ndarray:
    """Return the score of every scene, the mean over languages.

    Args:
        row: of a finished run.
        mode: `direct`, `prefix`, `pivot` or `translate`.
        measure: `exact`, `things` (share of the scene's things that are named right) or `language`.
        languages: ISO 639-1 codes.
        subset: one of `SUBSETS`.

    Returns:
        array `(scenes,)` of values from 0 to 1.
    """
    digits = np.array([[int(digit) for digit in row["cells"][mode][language][measure]] for language in languages])
    scores = digits.mean(0)
    if measure == "things":
        scores = scores / np.array([int(digit) for digit in row["nouns"]])
    half = len(scores) // 2
    return {"all": scores, "never hidden": scores[:half], "hidden half": scores[half:]}[subset]


@cache
def _draws(items: int) -> np.ndarray:
    """Return the weights of items in each bootstrap sample, `(samples, items)`; all estimates share them."""
    counts = np.random.default_rng(0).multinomial(items, np.full(items, 1 / items), size=SAMPLES)
    return counts / items


def estimate(scores: np.ndarray) -> Estimate:
    """Return the mean of scenes with its interval; for differences on the same scenes, the paired interval."""
    low, high = np.quantile(_draws(len(scores)) @ scores, (0.025, 0.975))
    return Estimate(float(scores.mean()), float(low), float(high))
