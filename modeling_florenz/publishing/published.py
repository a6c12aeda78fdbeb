"""Render every published card, write it where it belongs, and tell when it is out of date."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ..card_template import read_results
from ..checkpoint.loading import BUNDLED_MODEL, BUNDLED_NAME
from ..resumable import write_text
from ..scaling.runs_card import NAME, render_runs_card
from ..sizes import SIZES
from ..tiny.cards import render_dataset_card, render_italian_card, render_tiny_card
from ..tiny.scores import render_benchmark, render_eval_results
from .size_cards import render_model_card


CARDS: dict[str, Callable[[Path], str]] = {
    f"florenz-{size}{'-ft' if fine_tuned else ''}": partial(render_model_card, size=size, fine_tuned=fine_tuned)
    for size in SIZES
    for fine_tuned in (False, True)
}
CARDS |= {"florenz-tiny": render_tiny_card, "florenz-tiny-it": render_italian_card}
CARDS["emoji_scenes"] = lambda folder: render_dataset_card(folder, read_results(folder, "emoji-dataset")["rows"])
CARDS[NAME] = render_runs_card


def render_all(folder: Path) -> dict[str, str]:
    """Render every published card from `hub_cards`, by name."""
    return {name: render(folder) for name, render in CARDS.items()}


def write_cards(folder: Path) -> list[Path]:
    """Write every card into `rendered`, that of the bundled model also beside its weights; return the paths."""
    cards = _by_path(folder)
    for path, text in cards.items():
        write_text(path, text)
    return list(cards)


def check_cards(folder: Path) -> None:
    """Compare every written card with its sources.

    Raises:
        ValueError: some are missing or differ.
    """
    stale = [
        str(path)
        for path, text in _by_path(folder).items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    if stale:
        raise ValueError(f"{', '.join(stale)} do not equal their sources: run florenz card")


def _by_path(folder: Path) -> dict[Path, str]:
    cards = {}
    for name, text in render_all(folder).items():
        cards[folder / "rendered" / f"{name}.md"] = text
        if name == BUNDLED_NAME:
            cards[BUNDLED_MODEL / "README.md"] = text
    cards[folder / "rendered" / "florenz-tiny.eval_results.yaml"] = render_eval_results(folder)
    cards[folder / "rendered" / "emoji_scenes.eval.yaml"] = render_benchmark()
    return cards
