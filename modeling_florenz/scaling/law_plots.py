"""Draw what a report of laws and its table of runs hold."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .comparison import UNTAUGHT
from .figures import INK, figure, legend, log_axis, styles
from .law_file import stored_law
from .law_rows import GROUPS, Cell, columns, make_cells
from .law_tables import TITLES
from .laws import Law, design, front, predict, residuals


LOSS = "held-out loss, nats per token"


def draw_all(
    table: Sequence[dict[str, Any]], report: dict[str, Any], folder: Path, prefix_dose: Path | None = None
) -> list[Path]:
    """Draw every figure whose data is there, each as SVG and PNG.

    Args:
        table: rows of runs.
        report: of laws fitted to it.
        folder: for the figures.
        prefix_dose: results of the study of prefixes.

    Returns:
        paths of the SVG files.

    Raises:
        ValueError: the table or the results are broken, or the report is of other runs.
    """
    cells = make_cells(table, [report["arm"]], report["widths"])
    if [cell.loss(GROUPS[0]) for cell in cells] != [Cell(**cell).loss(GROUPS[0]) for cell in report["cells"]]:
        raise ValueError("the report is of other runs than the table holds: fit that table again")
    dose = None if prefix_dose is None else _read_dose(prefix_dose)
    draw_compute(cells, report, folder)
    draw_samples(cells, report, folder)
    draw_residuals(cells, report, folder)
    names = ["law-compute", "law-samples", "law-residuals"]
    if draw_hiding(make_cells(table, _arms_of_hiding(table)), table, folder):
        names.append("hiding")
    if dose is not None:
        draw_prefix(dose, folder)
        names.append("prefix-dose")
    return [folder / f"{name}.svg" for name in names]


def _loss(cells: Sequence[Cell], group: str) -> np.ndarray:
    return np.array([cell.loss(group) for cell in cells])


def _law(report: dict[str, Any], group: str, *path: str) -> Law | None:
    try:
        return stored_law(report, group, *path)
    except ValueError:
        return None


def _points(axes: Any, cells: Sequence[Cell], name: str, values: np.ndarray) -> None:
    places = columns(cells, name)[name]
    widths = np.array([cell.width for cell in cells])
    for width, style in styles(sorted(set(widths))).items():
        axes.plot(places[widths == width], values[widths == width], ls="", ms=7, zorder=3, label=str(width), **style)


def draw_compute(cells: Sequence[Cell], report: dict[str, Any], folder: Path) -> None:
    """Draw losses against compute, the front, the law of the front and its prediction band."""
    with figure(folder, "law-compute", len(GROUPS)) as (drawn, panels):
        for axes, group in zip(panels, GROUPS, strict=True):
            loss, compute = _loss(cells, group), columns(cells, "compute")["compute"]
            law = _law(report, group, "compute", "compute")
            if law is not None:
                line = np.geomspace(compute.min(), compute.max(), 60)
                found = [predict(law, {"compute": value}) for value in line]
                axes.plot(line, [each.value for each in found], color=INK, lw=1.5, label="law of the front")
                low, high = [each.low for each in found], [each.high for each in found]
                axes.fill_between(line, low, high, color="#d5dae3", zorder=0, lw=0, label="95 % band")
            inside = front(compute, loss)
            ring = {"ls": "", "marker": "o", "ms": 13, "mfc": "none", "mec": INK}
            axes.plot(compute[inside], loss[inside], label="on the front", **ring)
            _points(axes, cells, "compute", loss)
            axes.set(title=TITLES[group], xlabel="compute of training, MACs")
            log_axis(axes.xaxis, ())
            log_axis(axes.yaxis, ())
        panels[0].set_ylabel(LOSS)
        legend(drawn, panels[0], "width")


def draw_samples(cells: Sequence[Cell], report: dict[str, Any], folder: Path) -> None:
    """Draw losses against samples, size by size, with the law of size and samples."""
    with figure(folder, "law-samples", len(GROUPS)) as (drawn, panels):
        for axes, group in zip(panels, GROUPS, strict=True):
            law = _law(report, group, "size_samples", "parameters")
            sizes = {cell.width: cell.parameters for cell in cells}
            samples = columns(cells, "samples")["samples"]
            for width, style in styles(sorted(sizes)).items():
                if law is not None:
                    line = np.geomspace(samples.min(), samples.max(), 20)
                    points = {"parameters": np.full(20, sizes[width], float), "samples": line}
                    axes.plot(line, 10 ** (design(points) @ np.array(law.estimates)), color=style["color"], lw=1.5)
            _points(axes, cells, "samples", _loss(cells, group))
            axes.set(title=TITLES[group], xlabel="samples seen in training")
            log_axis(axes.xaxis, samples)
            log_axis(axes.yaxis, ())
        panels[0].set_ylabel(LOSS)
        legend(drawn, panels[0], "width; lines: the law of size and samples")


def draw_residuals(cells: Sequence[Cell], report: dict[str, Any], folder: Path) -> None:
    """Draw how far each cell is from the law of size and samples."""
    with figure(folder, "law-residuals", len(GROUPS), sharey=True) as (drawn, panels):
        for axes, group in zip(panels, GROUPS, strict=True):
            law = _law(report, group, "size_samples", "parameters")
            if law is not None:
                off = residuals(law, columns(cells, "parameters", "samples"), _loss(cells, group))
                axes.axhline(0, color=INK, lw=1)
                _points(axes, cells, "samples", off)
            axes.set(title=TITLES[group], xlabel="samples seen in training")
            log_axis(axes.xaxis, columns(cells, "samples")["samples"])
        panels[0].set_ylabel("log10 of loss over the law's")
        legend(drawn, panels[0], "width")


def _arms_of_hiding(table: Sequence[dict[str, Any]]) -> list[str]:
    """Name the arms that differ in how much of a source is hidden, and in nothing else that a row tells."""
    usual = next((row["captioned"] for row in table if row["arm"] == "plain"), table[0]["captioned"])
    return sorted({row["arm"] for row in table if row["captioned"] == usual})


def draw_hiding(cells: Sequence[Cell], table: Sequence[dict[str, Any]], folder: Path) -> bool:
    """Draw losses of captions in languages never captioned against the budget, by the share of hidden words.

    Drawn is the width with most arms, of those the largest.

    Returns:
        whether there is more than one share to compare.
    """
    shares = {row["arm"]: row["grounding"] for row in table}
    arms = {width: {cell.arm for cell in cells if cell.width == width} for width in {cell.width for cell in cells}}
    width = max(arms, key=lambda value: (len(arms[value]), value))
    if len({shares[arm] for arm in arms[width]}) < 2:
        return False
    steps = sorted({cell.steps for cell in cells if cell.width == width})
    with figure(folder, "hiding", 2) as (drawn, panels):
        for axes, group in zip(panels, GROUPS[:2], strict=True):
            for arm, style in styles(sorted(arms[width], key=lambda arm: (shares[arm], arm))).items():
                known = {cell.steps: cell.loss(group) for cell in cells if cell.arm == arm and cell.width == width}
                loss = [known.get(count, np.nan) for count in steps]  # no line leads over what is missing
                axes.plot(steps, loss, lw=1.5, ms=7, label=f"{shares[arm]:g}", **style)
            axes.set(title=TITLES[group], xlabel=f"steps of training, width {width}")
            log_axis(axes.xaxis, steps)
            log_axis(axes.yaxis, ())
        panels[0].set_ylabel(LOSS)
        legend(drawn, panels[0], "share of source words hidden")
    return True


def _read_dose(path: Path) -> dict[str, Any]:
    try:
        models = json.loads(path.read_text(encoding="utf-8"))["models"]
        return {name: {kind: found[kind] for kind in ("right", "wrong")} for name, found in models.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{path} holds no results of the study of prefixes: write it with prefix_dose") from None


def draw_prefix(models: dict[str, Any], folder: Path) -> None:
    """Draw the share of captions in the asked language against the number of prefix words given.

    A row of panels for each kind of model, a panel for each language never captioned, a line for each size: names of
    models are KIND-SIZE. Others are drawn only if there are no such names.
    """
    named = {name: re.fullmatch(r"(\D+)-(\d+)", name) for name in models}
    places = {name: (match[1], int(match[2])) for name, match in named.items() if match}
    lines: dict[str, tuple[str, Any]] = dict(places) or {name: ("", name) for name in models}
    kinds = list(dict.fromkeys(kind for kind, _ in lines.values()))
    style = styles(sorted({size for _, size in lines.values()}))
    with figure(folder, "prefix-dose", len(UNTAUGHT), len(kinds), sharey=True) as (drawn, panels):
        for place, axes in enumerate(panels):
            kind, language = kinds[place // len(UNTAUGHT)], UNTAUGHT[place % len(UNTAUGHT)]
            for name, (own, size) in lines.items():
                if own != kind:
                    continue
                for given, look in (("right", {"label": str(size)}), ("wrong", {"ls": ":", "alpha": 0.7})):
                    found = models[name][given][language]
                    rates = [entry["language"] for entry in found]
                    axes.plot(range(len(rates)), rates, lw=1.5, ms=6, **{**style[size], **look})
            axes.set(title=", ".join(filter(None, (kind, language))), ylim=(-0.04, 1.04))
            axes.xaxis.get_major_locator().set_params(integer=True)
            if place >= len(panels) - len(UNTAUGHT):
                axes.set_xlabel("words of the prefix given")
        for axes in panels[:: len(UNTAUGHT)]:
            axes.set_ylabel("captions in that language")
        legend(drawn, panels[0], "width; dotted: the prefix of another language")
