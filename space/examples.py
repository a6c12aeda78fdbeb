"""Examples for every tab, rendered from emoji scenes at start."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from loading import Loaded
from PIL import Image
from problems import wired

from modeling_florenz.data.emoji_scenes.world import EmojiWorld
from modeling_florenz.inference.captioner import SAMPLE_IMAGE


SCENES = {
    "cat_and_mushroom": (["🐈", "🍄"], "green"),
    "car_house_rose": (["🚗", "🏠", "🌹"], "blue"),
    "football": (["⚽"], "yellow"),
    "tennis": (["🎾"], "grey"),
    "cat_motorcycle_cactus": (["🐈", "🏍️", "🌵"], "blue"),
}
TWIN = "cat_motorcycle_cactus"  # as the sample: a pet, a bike and a plant


def sample() -> str:
    """Return the path of the picture that comes with the bundled model."""
    return str(SAMPLE_IMAGE)


def example(loaded: Loaded, name: str) -> str:
    """Return the path of one of `SCENES`."""
    return str(loaded.examples / f"{name}.png")


def open_example(path: str) -> Image.Image:
    """Open one of the pictures above."""
    with Image.open(path) as file:
        return file.convert("RGB")


def try_on_click(
    rows: list[list[Any]],
    inputs: list[Any],
    outputs: list[Any],
    run: Callable[..., Any],
    line: gr.HTML,
    shown_on: Any,
    cancel: gr.Button | None = None,
) -> Any:
    """Show examples that run when they are clicked, in the model's own line; see `offer`.

    Args:
        rows: of the first inputs or all of them; the others stay as visitors have them.
    """
    shown = gr.Examples(rows, inputs[: len(rows[0])], cache_examples=False, api_visibility="private", label="Try one")
    return shown.load_input_event.then(**wired(run, inputs, outputs, line, shown_on, cancel, "always_last"))


def render_examples(folder: Path) -> None:
    """Write one PNG for each of `SCENES` into a folder."""
    world = EmojiWorld(image_size=384)
    for name, (emoji, background) in SCENES.items():
        world.render(world.from_emoji(emoji, background, seed=7)).save(folder / f"{name}.png")
