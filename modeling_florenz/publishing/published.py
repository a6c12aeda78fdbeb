"""Render every published card."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ..card_template import read_results
from ..sizes import SIZES
from ..tiny.cards import render_dataset_card, render_italian_card, render_tiny_card
from .size_cards import render_model_card


CARDS: dict[str, Callable[[Path], str]] = {
    f"florenz-{size}{'-ft' if fine_tuned else ''}": partial(render_model_card, size=size, fine_tuned=fine_tuned)
    for size in SIZES
    for fine_tuned in (False, True)
}
CARDS |= {"florenz-tiny": render_tiny_card, "florenz-tiny-it": render_italian_card}
CARDS["emoji_scenes"] = lambda folder: render_dataset_card(folder, read_results(folder, "emoji-dataset")["rows"])


def render_all(folder: Path) -> dict[str, str]:
    """Render every published card from `hub_cards`, by name."""
    return {name: render(folder) for name, render in CARDS.items()}
