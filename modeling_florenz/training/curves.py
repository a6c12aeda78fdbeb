"""Draw the loss and the measures of a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ..resumable import whole_file


Curve = Sequence[tuple[int, float]]

_INK, _LINE, _GRID, _PAPER = "#20242c", "#9aa3b2", "#e3e7ee", "#ffffff"
# They can be told apart by colour-blind readers, and by their end points in grey print.
_COLOURS = ("#1f5fa8", "#e08a00", "#2a9d6a", "#b5367a", "#5b4fa0", "#7a7a20", "#00838f", "#c0392b")
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 900, 360, 90, 250, 50, 50


def draw_curves(path: Path, loss_curve: Curve, evaluations: Sequence[tuple[int, Mapping[str, float]]]) -> None:
    """Draw losses above and, where anything else was measured, those measures below, and write a PNG.

    Args:
        path: of the PNG file.
        loss_curve: steps and training losses.
        evaluations: steps and measures by name, `eval_loss` among them.
    """
    measured: dict[str, list[tuple[int, float]]] = {}
    for step, values in evaluations:
        for name, value in values.items():
            measured.setdefault(name.removeprefix("eval_"), []).append((step, value))
    losses = {"training": list(loss_curve)}
    if "loss" in measured:
        losses["evaluation"] = measured.pop("loss")
    panels: list[tuple[str, Mapping[str, Curve]]] = [("loss, nats per token", losses)]
    if measured:
        panels.append(("measures", measured))
    last = max((step for _, curves in panels for curve in curves.values() for step, _ in curve), default=1)
    image = Image.new("RGB", (_WIDTH, _HEIGHT * len(panels)), _PAPER)
    drawing = ImageDraw.Draw(image)
    for number, (title, curves) in enumerate(panels):
        _panel(drawing, _HEIGHT * number, title, curves, last)
    with whole_file(path) as partial:
        image.save(partial, "PNG")


def _panel(drawing: ImageDraw.ImageDraw, above: int, title: str, curves: Mapping[str, Curve], last: int) -> None:
    values = [value for curve in curves.values() for _, value in curve]
    low, high = min(0.0, *values), max(values, default=1.0)
    high = high if high > low else low + 1
    right, top, bottom = _WIDTH - _RIGHT, above + _TOP, above + _HEIGHT - _BOTTOM

    def place(step: int, value: float) -> tuple[float, float]:
        return _LEFT + (right - _LEFT) * step / last, bottom - (bottom - top) * (value - low) / (high - low)

    def text(where: tuple[float, float], words: str, anchor: str, size: int = 16, colour: str = _INK) -> None:
        drawing.text(where, words, colour, ImageFont.load_default(size), anchor=anchor)

    text((_LEFT, above + 24), title, "lm", 20)
    for tick in range(5):
        value, step = low + (high - low) * tick / 4, round(last * tick / 4)
        _, y = place(0, value)
        drawing.line((_LEFT, y, right, y), _GRID if tick else _LINE, 1)
        text((_LEFT - 10, y), f"{value:.3g}", "rm")
        text((place(step, low)[0], bottom + 20), f"{step:,}", "mm")
    for number, (name, curve) in enumerate(curves.items()):
        colour, points = _COLOURS[number % len(_COLOURS)], [place(*point) for point in curve]
        if len(points) > 1:
            drawing.line(points, colour, 3)
        for x, y in points if len(points) <= 40 else points[-1:]:
            drawing.ellipse((x - 4, y - 4, x + 4, y + 4), colour)
        text((right + 20, top + 24 * number), name, "lm", 16, colour)
