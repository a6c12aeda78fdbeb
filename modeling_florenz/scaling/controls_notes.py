"""Say what the bars of the controls do not: what was not registered, and what must be known to read them."""

from statistics import mean
from typing import Any

from .comparison import TAUGHT, UNTAUGHT, estimate, scene_scores


LANGUAGE_NAMES = {"fr": "French", "es": "Spanish", "ru": "Russian", "zh": "Chinese"}


def notes(rows: dict[tuple[str, int], dict[str, Any]]) -> list[str]:
    """Write one line for each thing that was seen beside the bars.

    Args:
        rows: finished runs by arm and seed.
    """
    return [f"- {note}" for note in (*_headroom(rows), *_below(rows), *_silent(rows), *_unlocked(rows))]


def hardware(rows: dict[tuple[str, int], dict[str, Any]]) -> str:
    """Say which runs ran on what, and for how long.

    Args:
        rows: finished runs by arm and seed.
    """
    groups: dict[str, list[str]] = {}
    for (letter, seed), row in sorted(rows.items()):
        place = row.get("hardware", "")
        groups.setdefault("two CPU cores" if "CPU" in place or not place else place, []).append(f"{letter}{seed}")
    hours = sum(row["core_seconds"]["all"] for row in rows.values()) / 3600
    places = "; ".join(f"{', '.join(runs)} on {place}" for place, runs in groups.items())
    return f"They took {hours:.1f} core-hours: {places}."


def _headroom(rows: dict[tuple[str, int], dict[str, Any]]) -> list[str]:
    """Say how much plain leaves to gain, without which a gain cannot be read."""
    left = [
        f"{1 - scene_scores(row, 'direct', 'things', UNTAUGHT, 'never hidden').mean():.3f} in seed {seed}"
        for (letter, seed), row in sorted(rows.items())
        if letter == "a"
    ]
    if not left:
        return []
    return [f"Of the things in scenes of nouns never hidden, plain leaves this share to gain: {', '.join(left)}."]


def _below(rows: dict[tuple[str, int], dict[str, Any]]) -> list[str]:
    """Say where a gain is under its bar and still there: the registered sentence may sound like none at all."""
    found = []
    for letter, languages, subset, words in (
        ("g", UNTAUGHT, "never hidden", "nouns never hidden"),
        ("e", ("es", "ru", "zh"), "all", "es, ru and zh"),
    ):
        for seed in sorted(seed for known, seed in rows if known == letter and ("a", seed) in rows):
            scores = [scene_scores(rows[one, seed], "direct", "things", languages, subset) for one in (letter, "a")]
            gain = estimate(scores[0] - scores[1])
            if 0 < gain.low <= 0.10:
                found.append(f"({letter}) on {words}, seed {seed}: {gain}")
    if not found:
        return []
    return [f"Under its bar is not nothing; these intervals exclude 0: {'; '.join(found)}."]


def _silent(rows: dict[tuple[str, int], dict[str, Any]]) -> list[str]:
    """Name the runs that did not learn to caption at all: they say nothing of transfer."""
    found = [
        f"{letter}{seed}"
        for (letter, seed), row in sorted(rows.items())
        if scene_scores(row, "direct", "exact", TAUGHT, "all").mean() < 0.1
    ]
    if not found:
        return []
    return [
        f"Not registered: {', '.join(found)} did not learn captions in any language, English included; their loss "
        "stayed where the loss of the others was before they began to use the image. They say that this attempt "
        "failed, and nothing of what image states close to word states would do in a model that captions."
    ]


def _unlocked(rows: dict[tuple[str, int], dict[str, Any]]) -> list[str]:
    """Name the cells in which a prefix turns a wrong language into the right one."""
    found = []
    for (letter, seed), row in sorted(rows.items()):
        for language in UNTAUGHT:
            rates = {
                (mode, measure): mean(scene_scores(row, mode, measure, (language,), "all"))
                for mode in ("direct", "prefix")
                for measure in ("language", "things")
            }
            if rates["direct", "language"] < 0.6 and rates["prefix", "language"] - rates["direct", "language"] >= 0.3:
                spoken = f"{rates['direct', 'language']:.3f} to {rates['prefix', 'language']:.3f}"
                things = f"{rates['direct', 'things']:.3f} to {rates['prefix', 'things']:.3f}"
                found.append(f"{letter}{seed} in {LANGUAGE_NAMES[language]} (language {spoken}, things {things})")
    if not found:
        return []
    return [
        "Not registered: in some runs with hidden words, captions of one language came out in another, and its prefix "
        f"put that right: {'; '.join(found)}. Which language it is, and whether there is one, differs by seed."
    ]
