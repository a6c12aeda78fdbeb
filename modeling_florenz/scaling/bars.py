"""Decide the registered bars from the rows of finished runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .comparison import UNTAUGHT, Estimate, estimate, scene_scores


Rows = dict[tuple[str, int], dict[str, Any]]


@dataclass(frozen=True)
class Verdict:
    """Hold what was found, seed by seed, and whether the bar holds, which it must in every seed."""

    found: dict[int, str]
    holds: bool | None  # None while a run is missing


def decide(name: str, rows: Rows, seeds: tuple[int, ...]) -> Verdict:
    """Decide a bar for each of its seeds.

    Raises:
        ValueError: the bar is not one that can be decided here.
    """
    if name not in _BARS:
        raise ValueError(f"the bar {name!r} is unknown: use one of {', '.join(_BARS)}")
    needed, decide_seed = _BARS[name]
    found: dict[int, str] = {}
    holds: bool | None = True
    for seed in seeds:
        runs = [rows.get((letter, seed)) for letter in needed]
        if None in runs:
            holds = None if holds else holds
            continue
        words, passed = decide_seed(*runs)
        found[seed] = words
        holds = False if not passed else holds
    return Verdict(found, holds)


def _gain(languages: tuple[str, ...], subset: str, lowest: float) -> Callable[..., tuple[str, bool]]:
    def decide_seed(plain: dict[str, Any], other: dict[str, Any]) -> tuple[str, bool]:
        gain = _difference(other, "direct", plain, "direct", "things", languages, subset)
        return str(gain), gain.low > lowest

    return decide_seed


def _difference(
    first: dict[str, Any],
    first_mode: str,
    second: dict[str, Any],
    second_mode: str,
    measure: str,
    languages: tuple[str, ...] = UNTAUGHT,
    subset: str = "all",
) -> Estimate:
    return estimate(
        scene_scores(first, first_mode, measure, languages, subset)
        - scene_scores(second, second_mode, measure, languages, subset)
    )


def _partial(row: dict[str, Any]) -> tuple[str, bool]:
    values = {
        language: [scene_scores(row, "direct", measure, (language,)).mean() for measure in ("things", "language")]
        for language in UNTAUGHT
    }
    words = ", ".join(f"{language} {things:.3f} / {spoken:.3f}" for language, (things, spoken) in values.items())
    return words, all(things >= 0.95 and spoken >= 0.99 for things, spoken in values.values())


def _image(plain: dict[str, Any], other: dict[str, Any]) -> tuple[str, bool]:
    gain = _difference(other, "direct", plain, "direct", "things")
    return str(gain), gain.value <= 0.05


def _self_taught(row: dict[str, Any]) -> tuple[str, bool]:
    gap = _difference(row, "direct", row, "pivot", "exact")
    return str(gap), gap.value >= -0.02


def _direct(row: dict[str, Any]) -> tuple[str, bool]:
    gap = _difference(row, "direct", row, "pivot", "exact")
    return str(gap), gap.low > 0


def _prefix(row: dict[str, Any]) -> tuple[str, bool]:
    gain = _difference(row, "prefix", row, "direct", "language")
    return str(gain), gain.value >= 0.3


# The runs that a bar compares, by the letters of their arms, and how the bar is decided for a seed.
_BARS: dict[str, tuple[str, Callable[..., tuple[str, bool]]]] = {
    "carries_over_to_other_nouns": ("ag", _gain(UNTAUGHT, "never hidden", 0.10)),
    "carries_over_to_other_languages": ("ae", _gain(("es", "ru", "zh"), "all", 0.10)),
    "needs_no_fully_hidden_source": ("b", _partial),
    "it_is_the_image": ("af", _image),
    "self_taught_is_enough": ("h", _self_taught),
    "direct_beats_pivot": ("b", _direct),
    "real_transfer": ("ai", _gain(UNTAUGHT, "never hidden", 0.10)),
    "prefix": ("a", _prefix),
}
