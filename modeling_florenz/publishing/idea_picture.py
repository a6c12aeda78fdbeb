"""Draw the idea in one picture: tasks and languages that were taught, and those that emerged, with their scores."""

from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from ..card_template import LANGUAGES, read_results
from ..processing_florenz import LANGUAGES as NAMES


@dataclass(frozen=True)
class Palette:
    """Hold the colours of a theme; taught and emerged also differ in lightness and pattern."""

    paper: str
    ink: str
    faint: str
    taught: str
    on_taught: str
    emerged: str
    empty: str
    on_emerged: str


LIGHT = Palette("#ffffff", "#1b2330", "#5b6678", "#1f5fa8", "#ffffff", "#f5b942", "#fdf1d7", "#2b2004")
DARK = Palette("#0d1117", "#e6edf3", "#9aa7b5", "#2a6cbd", "#ffffff", "#e9a825", "#4a3a14", "#1f1602")
TAUGHT = ("en", "de")
UNTAUGHT = ("fr", "es", "ru", "zh")
TITLE = "Taught to translate, it captions"
SUBTITLE = (
    "Shown captions in English and German alone, and translations beside images, "
    "a model captions in four more languages."
)

_SCALE = 3  # drawn larger, so that edges are smooth
_WIDTH, _HEIGHT, _MARGIN = 1120, 560, 40
_LEFT, _TOP, _CELL, _GAP, _TALL = 272, 150, 128, 8, 94


class _Canvas:
    """Draw in the picture's own units."""

    def __init__(self, palette: Palette) -> None:
        self.palette = palette
        self.image = Image.new("RGB", (_WIDTH * _SCALE, _HEIGHT * _SCALE), palette.paper)
        self.draw = ImageDraw.Draw(self.image)

    def text(
        self, x: float, y: float, words: str, size: int, fill: str, anchor: str = "lm", bold: bool = False
    ) -> None:
        font: Any = ImageFont.load_default(size * _SCALE)
        width = round(size * _SCALE / 45) if bold else 0
        self.draw.text((x * _SCALE, y * _SCALE), words, fill, font, anchor=anchor, stroke_width=width)

    def box(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        corners = [round(value * _SCALE) for value in (x, y, x + width, y + height)]
        self.draw.rounded_rectangle(corners, 9 * _SCALE, fill)

    def level(self, x: float, y: float, width: float, height: float, share: float) -> None:
        """Draw a box that is filled from below by a share of its height."""
        self.box(x, y, width, height, self.palette.empty)
        size = (round(width * _SCALE), round(height * _SCALE))
        mask = Image.new("L", size, 0)
        ImageDraw.Draw(mask).rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), 9 * _SCALE, 255)
        top = round(size[1] * (1 - share))
        mask.paste(0, (0, 0, size[0], top))
        self.image.paste(Image.new("RGB", size, self.palette.emerged), (round(x * _SCALE), round(y * _SCALE)), mask)

    def finish(self) -> Image.Image:
        smooth = self.image.resize((_WIDTH * 2, _HEIGHT * 2), Image.Resampling.LANCZOS)
        return smooth.quantize(128, dither=Image.Dither.NONE)


def draw_idea(folder: Path, palette: Palette) -> Image.Image:
    """Draw the grid of tasks and languages from the result files.

    Args:
        folder: `hub_cards`.
        palette: `LIGHT` or `DARK`.
    """
    models = read_results(folder, "pivot")["models"]
    canvas = _Canvas(palette)
    canvas.text(_MARGIN, 46, TITLE, 34, palette.ink, bold=True)
    canvas.text(_MARGIN, 88, SUBTITLE, 18, palette.faint)
    for column, language in enumerate(LANGUAGES):
        canvas.text(_x(column) + _CELL / 2, _TOP - 20, _name(language), 19, palette.ink, "mm", bold=True)
    rows = (
        ("translate from English", "beside an image", None),
        ("caption an image", "trained plainly", "plain recipe"),
        ("caption an image", "trained with nouns hidden", "partial recipe"),
    )
    for row, (task, how, model) in enumerate(rows):
        y = _TOP + row * (_TALL + _GAP)
        canvas.text(_LEFT - 20, y + _TALL / 2 - 12, task, 20, palette.ink, "rm", bold=True)
        canvas.text(_LEFT - 20, y + _TALL / 2 + 14, how, 15, palette.faint, "rm")
        for column, language in enumerate(LANGUAGES):
            if model is None and language == "en":
                canvas.text(_x(column) + _CELL / 2, y + _TALL / 2, "the source", 15, palette.faint, "mm")
            elif model is None:
                _taught(canvas, _x(column), y, None)
            elif language in TAUGHT:
                _taught(canvas, _x(column), y, models[model][language]["direct"])
            else:
                _emerged(canvas, _x(column), y, models[model][language]["direct"])
    for number, line in enumerate(_notes(folder)):
        canvas.text(_MARGIN, _HEIGHT - 72 + 24 * number, line, 15, palette.faint)
    return canvas.finish()


def _x(column: int) -> float:
    return _LEFT + column * (_CELL + _GAP)


def _name(language: str) -> str:
    return NAMES[language].split()[-1]


def _taught(canvas: _Canvas, x: float, y: float, share: float | None) -> None:
    canvas.box(x, y, _CELL, _TALL, canvas.palette.taught)
    middle = x + _CELL / 2
    if share is None:
        canvas.text(middle, y + _TALL / 2, "taught", 18, canvas.palette.on_taught, "mm")
    else:
        canvas.text(middle, y + _TALL / 2 - 3, f"{share:.0%}", 27, canvas.palette.on_taught, "mm", bold=True)
        canvas.text(middle, y + _TALL / 2 + 27, "taught", 15, canvas.palette.on_taught, "mm")


def _emerged(canvas: _Canvas, x: float, y: float, share: float) -> None:
    canvas.level(x, y, _CELL, _TALL, share)
    middle = x + _CELL / 2
    canvas.text(middle, y + _TALL / 2 - 3, f"{share:.0%}", 27, canvas.palette.on_emerged, "mm", bold=True)
    canvas.text(middle, y + _TALL / 2 + 27, "never taught", 15, canvas.palette.on_emerged, "mm")


def _notes(folder: Path) -> list[str]:
    """Say what the numbers are, and how much they vary."""
    runs = read_results(folder, "controls")["runs"]
    other = {
        arm: " and ".join(
            f"{runs[f'{arm}/{seed}']['cells']['direct, untaught: exact']['value']:.0%}" for seed in (0, 1)
        )
        for arm in ("a", "b")
    }
    models = read_results(folder, "pivot")["models"]
    means = {
        model: f"{mean(models[model][language]['direct'] for language in UNTAUGHT):.0%}"
        for model in ("plain recipe", "partial recipe")
    }
    return [
        "Share of 1,000 held-out emoji scenes captioned right, word for word, by models of florenz-tiny's size. "
        "Seeds differ:",
        f"the four languages together reach {means['plain recipe']} here and {other['a']} in two other runs; "
        f"with nouns hidden, {means['partial recipe']} here and {other['b']} in two others.",
    ]
