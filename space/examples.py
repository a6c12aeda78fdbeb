"""Examples for every tab, rendered from emoji scenes at start."""

from pathlib import Path

from loading import Loaded

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


def render_examples(folder: Path) -> None:
    """Write one PNG for each of `SCENES` into a folder."""
    world = EmojiWorld(image_size=384)
    for name, (emoji, background) in SCENES.items():
        world.render(world.from_emoji(emoji, background, seed=7)).save(folder / f"{name}.png")
