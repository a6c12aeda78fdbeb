"""Draw the pictures of the cards: what was taught and what emerged, tasks in pre-training, how the parts are joined.

python -m modeling_florenz.publishing.pictures hub_cards/images
"""

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ..card_template import find_cards
from ..processing_florenz import LANGUAGES
from .idea_picture import DARK, LIGHT, draw_idea


_INK, _LINE, _PAPER = "#20242c", "#9aa3b2", "#ffffff"
_TRAINED, _UNTRAINED, _NONE = "#2f6fb2", "#f2b84b", "#eceff4"
_FROZEN, _LEARNED = "#dfe6ef", "#cfe3f7"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def draw_coverage() -> Image.Image:
    """Draw the grid of tasks and languages in pre-training: blue was trained, yellow was not."""
    cell, left, top = 104, 250, 70
    image = Image.new("RGB", (left + cell * len(LANGUAGES) + 30, 340), _PAPER)
    draw = ImageDraw.Draw(image)
    rows = {"caption": {"en", "de"}, "translate from English": {"de", "fr", "es", "ru", "zh"}}
    for column, language in enumerate(LANGUAGES):
        draw.text((left + cell * (column + 0.5), top - 26), language, _INK, _font(26), anchor="mm")
    for number, (task, trained) in enumerate(rows.items()):
        y = top + cell * number
        draw.text((left - 16, y + cell / 2), task, _INK, _font(22), anchor="rm")
        for column, language in enumerate(LANGUAGES):
            exists = task == "caption" or language != "en"
            fill = _TRAINED if language in trained else _UNTRAINED if exists else _NONE
            x = left + cell * column
            draw.rounded_rectangle((x + 4, y + 4, x + cell - 4, y + cell - 4), 10, fill)
            word = "trained" if language in trained else "not trained" if exists else ""
            draw.text((x + cell / 2, y + cell / 2), word, _PAPER if fill == _TRAINED else _INK, _font(18), anchor="mm")
    words = "Tasks and languages in pre-training; it had no captions in the yellow languages."
    draw.text((left - 230, top + 2 * cell + 36), words, _INK, _font(20), anchor="lm")
    return image


def draw_architecture() -> Image.Image:
    """Draw the parts from left to right; blue ones are trained, grey ones frozen."""
    image = Image.new("RGB", (1180, 360), _PAPER)
    draw = ImageDraw.Draw(image)

    def box(x: int, y: int, width: int, height: int, words: str, fill: str) -> None:
        draw.rounded_rectangle((x, y, x + width, y + height), 12, fill, _LINE, 2)
        draw.multiline_text((x + width / 2, y + height / 2), words, _INK, _font(20), anchor="mm", align="center")

    def arrow(start: tuple[int, int], end: tuple[int, int]) -> None:
        draw.line((start, end), _INK, 3)
        draw.polygon([end, (end[0] - 12, end[1] - 7), (end[0] - 12, end[1] + 7)], _INK)

    box(20, 60, 130, 80, "image\n768 x 768", _PAPER)
    box(20, 220, 130, 80, "prompt", _PAPER)
    box(200, 50, 200, 100, "vision tower\n(DaViT) and\nprojector", _FROZEN)
    box(470, 110, 210, 140, "Florence-2\nencoder", _LEARNED)
    box(
        780,
        60,
        250,
        240,
        "decoder\n\nBART (0.4b, 1.0b)\nor Gemma-2 with\ngated cross-attention\n(3.5b, 11.2b)",
        _LEARNED,
    )
    arrow((150, 100), (200, 100))
    arrow((400, 100), (470, 150))
    arrow((150, 260), (470, 210))
    arrow((680, 180), (780, 180))
    draw.text((730, 160), "cross-", _INK, _font(15), anchor="mm")
    draw.text((730, 200), "attention", _INK, _font(15), anchor="mm")
    arrow((1030, 180), (1090, 180))
    draw.text((1135, 180), "text", _INK, _font(20), anchor="mm")
    draw.text(
        (20, 335),
        "grey: frozen; blue: trained (of Gemma-2 only what was added, and the embedding)",
        _INK,
        _font(17),
        "lm",
    )
    return image


def main(folder: Path) -> None:
    draw_coverage().save(folder / "coverage.png", optimize=True)
    draw_architecture().save(folder / "architecture.png", optimize=True)
    draw_idea(find_cards(), LIGHT).save(folder / "idea.png", optimize=True)
    draw_idea(find_cards(), DARK).save(folder / "idea-dark.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
