"""Draw what share of the things each arm names correctly in captions of untaught languages."""

from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from .arms import Experiment


_INK, _LINE, _PAPER = "#20242c", "#9aa3b2", "#ffffff"
# Blue and orange can be told apart in grey print and by colour-blind readers.
_SERIES = {"never hidden": "#1f5fa8", "hidden half": "#f0a030"}
_WORDS = {"never hidden": "scenes of nouns never hidden", "hidden half": "scenes of nouns of the hidden half"}


def draw(experiment: Experiment, found: dict[str, Any], path: Path) -> None:
    """Draw two dots with intervals for each run, one for each half of the nouns, and write a PNG."""
    runs = [
        (f"({letter}) {arm.name}, seed {seed}", found["runs"][f"{letter}/{seed}"]["cells"])
        for letter, arm in experiment.arms.items()
        for seed in arm.seeds
        if f"{letter}/{seed}" in found["runs"]
    ]
    left, top, width, line = 470, 96, 640, 46
    image = Image.new("RGB", (left + width + 60, top + line * len(runs) + 70), _PAPER)
    drawing = ImageDraw.Draw(image)

    def text(place: tuple[float, float], words: str, anchor: str, size: int = 20) -> None:
        drawing.text(place, words, _INK, ImageFont.load_default(size), anchor=anchor)

    text((20, 30), "Things named right in captions of untaught languages (fr, es, ru, zh)", "lm", 24)
    for number, (subset, colour) in enumerate(_SERIES.items()):
        x = 30 + 400 * number
        drawing.ellipse((x - 7, 59, x + 7, 73), colour)
        text((x + 18, 66), _WORDS[subset], "lm")
    bottom = top + line * len(runs)
    for tick in range(0, 11, 2):
        across = left + width * tick / 10
        drawing.line((across, top, across, bottom), _LINE if tick in (0, 10) else "#e3e7ee", 2)
        text((across, bottom + 20), f"{tick / 10:.1f}", "mm")
    for number, (name, cells) in enumerate(runs):
        y = top + line * (number + 0.5)
        text((left - 18, y), name, "rm", 18)
        for offset, (subset, colour) in zip((-8, 8), _SERIES.items(), strict=True):
            cell = cells[f"direct, untaught, {subset}: things"]
            low, value, high = (left + width * cell[key] for key in ("low", "value", "high"))
            drawing.line((low, y + offset, high, y + offset), colour, 4)
            drawing.ellipse((value - 7, y + offset - 7, value + 7, y + offset + 7), colour)
    image.save(path)
