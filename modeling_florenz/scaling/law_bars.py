"""Decide the bars that were registered for the law."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from .comparison import UNTAUGHT
from .grid import Grid


ARM = "plain"
DROP = 0.10
LIFT, LOW = 0.3, 0.5
IN_BAND = 0.9


def decide(
    rows: Sequence[Mapping[str, Any]], grid: Grid, report: Mapping[str, Any], bars: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, Any]]:
    """Return of each bar what was `found`, whether it `holds`, and the registered `sentence` for that.

    Args:
        rows: of finished runs.
        grid: their registration.
        report: the law, see `make_report`; bars are decided at its widths.
        bars: the registered bars, with `holds` and `fails`.

    Raises:
        ValueError: a bar is not one that can be decided here.
    """
    largest = max(run.steps for run in grid.runs() if run.arm == ARM)
    seeds: dict[int, list[int]] = {}
    for run in grid.runs():
        if run.arm == ARM and run.steps == largest and run.width in report["widths"]:
            seeds.setdefault(run.width, []).append(run.seed)
    plain = {(row["width"], row["steps"], row["seed"]): row for row in rows if row["arm"] == ARM}
    missing = [run for run in grid.runs() if run.arm == ARM and (run.width, run.steps, run.seed) not in plain]
    found = {}
    for name, bar in bars.items():
        if name == "decay":
            words, shown = _decay(plain, largest, seeds)
            holds = shown if shown or not any(run.width in seeds for run in missing) else None
        elif name == "prefix":
            words, shown = _prefix(plain, largest, seeds)
            holds = shown if shown or not any(run.width in seeds and run.steps == largest for run in missing) else None
        elif name == "foretold":
            words, holds = _foretold(report)
        else:
            raise ValueError(f"the bar {name!r} is unknown: use one of decay, prefix, foretold")
        sentence = None if holds is None else bar["holds" if holds else "fails"].strip()
        found[name] = {"bar": bar["bar"], "found": words, "holds": holds, "sentence": sentence}
    return found


_Rows = Mapping[tuple[int, int, int], Mapping[str, Any]]


def _exact(row: Mapping[str, Any]) -> float | None:
    cells = row["accuracy"]["direct"]
    return mean(cells[language]["exact"] for language in UNTAUGHT) if set(UNTAUGHT) <= set(cells) else None


def _decay(plain: _Rows, largest: int, seeds: Mapping[int, Sequence[int]]) -> tuple[list[str], bool]:
    words, decayed = [], False
    for width, own in sorted(seeds.items()):
        drops = []
        for seed in own:
            # Runs whose captions are too seldom right in captioned languages are not measured in the others.
            shorter = [
                value
                for (other, steps, number), row in plain.items()
                if other == width and number == seed and steps < largest and (value := _exact(row)) is not None
            ]
            last = plain.get((width, largest, seed))
            value = _exact(last) if last else None
            if value is None or not shorter:
                words.append(f"width {width}, seed {seed}: no shorter run is good enough to compare with")
                continue
            drops.append(value - max(shorter))
            words.append(f"width {width}, seed {seed}: {drops[-1]:+.3f}")
        decayed |= len(drops) == len(own) and all(drop <= -DROP for drop in drops)
    return words, decayed


def _prefix(plain: _Rows, largest: int, seeds: Mapping[int, Sequence[int]]) -> tuple[list[str], bool]:
    words, lifted = [], False
    for width, own in sorted(seeds.items()):
        for language in UNTAUGHT:
            rates = []
            for seed in own:
                cells = plain.get((width, largest, seed), {}).get("accuracy", {})
                if language in cells.get("direct", {}) and language in cells.get("prefix", {}):
                    rates.append(tuple(cells[mode][language]["language"] for mode in ("direct", "prefix")))
            shown = [direct < LOW and prefix - direct >= LIFT for direct, prefix in rates]
            if any(shown):
                values = ", ".join(f"{direct:.3f} to {prefix:.3f}" for direct, prefix in rates)
                words.append(f"width {width}, {language}, seed by seed: {values}")
            lifted |= len(shown) == len(own) and all(shown)
    return words or ["in no untaught language, width and seed"], lifted


def _foretold(report: Mapping[str, Any]) -> tuple[list[str], bool | None]:
    checks = report["groups"]["unseen_captioning"]["held_out"]
    if any("refused" in check for check in checks.values()):
        return [f"{name}: {check['refused']}" for name, check in checks.items() if "refused" in check], None
    words = [f"{name}: {check['in_band']} of {len(check['cells'])} cells" for name, check in checks.items()]
    inside, count = (
        sum(values)
        for values in zip(*((each["in_band"], len(each["cells"])) for each in checks.values()), strict=True)
    )
    return words, inside >= IN_BAND * count
