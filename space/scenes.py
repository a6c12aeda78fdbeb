"""Scenes that visitors arrange: read from what a page sends, drawn as they are laid out."""

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limits import EMOJI
from PIL import Image

from modeling_florenz.data.emoji_scenes.world import BACKGROUNDS, EmojiWorld, Scene


SIDE = 384  # px of a scene
SPRITE, COLUMNS = 72, 16  # px and sprites in a row of the sheet that a page shows
SIDES = {1: 0.44, 2: 0.42, 3: 0.32}  # of a thing beside the scene's, by the number of things, as in training
SEED = 7


@dataclass(frozen=True)
class Thing:
    """Name a thing and its middle, as shares of the scene's side."""

    emoji: str
    x: float
    y: float


@dataclass(frozen=True)
class Arrangement:
    """Hold one to three things, from left to right, and the background."""

    things: tuple[Thing, ...]
    background: str

    @property
    def side(self) -> float:
        """Return the side of a thing beside the scene's."""
        return SIDES[len(self.things)]

    def asked(self) -> dict[str, Any]:
        """Return what a page would send for it."""
        things = [{"emoji": thing.emoji, "x": thing.x, "y": thing.y} for thing in self.things]
        return {"things": things, "background": self.background}


FIRST = Arrangement((Thing("🐕", 0.25, 0.62), Thing("🚲", 0.73, 0.4)), "green")
TO_TRY = (
    FIRST,
    Arrangement((Thing("🐈", 0.27, 0.36), Thing("🍄", 0.74, 0.62)), "purple"),
    Arrangement((Thing("🚗", 0.19, 0.62), Thing("🏠", 0.5, 0.4), Thing("🌹", 0.81, 0.7)), "blue"),
    Arrangement((Thing("⚽", 0.5, 0.56),), "yellow"),
    Arrangement((Thing("🐘", 0.26, 0.4), Thing("🎸", 0.74, 0.55)), "red"),
    Arrangement((Thing("🦋", 0.19, 0.35), Thing("🍕", 0.5, 0.62), Thing("🎩", 0.81, 0.36)), "grey"),
)


class ArrangedWorld(EmojiWorld):
    """Draw things where an arrangement puts them."""

    def __init__(self, arrangement: Arrangement) -> None:
        super().__init__(image_size=SIDE)
        self.arrangement = arrangement

    def layout(self, scene: Scene) -> list[tuple[int, int, int]]:
        """Place the things of a scene: left, top and side of each, in pixels."""
        side = int(self.arrangement.side * SIDE)
        return [
            (_edge(thing.x, side), _edge(thing.y, side), side) for thing in self.arrangement.things[: len(scene.nouns)]
        ]

    def draw(self) -> tuple[Image.Image, list[Image.Image]]:
        """Draw the arrangement, and once more without each of its things.

        Raises:
            ValueError: a thing or the background is unknown.
        """
        known = {noun.emoji for noun in self.nouns}
        for thing in self.arrangement.things:
            if thing.emoji not in known:
                raise ValueError(f"{thing.emoji} is not a thing that scenes can show: choose one of the {len(known)}")
        scene = self.from_emoji([thing.emoji for thing in self.arrangement.things], self.arrangement.background, SEED)
        return self.render(scene), [self.render(scene, [place]) for place in range(len(scene.nouns))]


def read_arrangement(asked: Any) -> Arrangement:
    """Read what a page asks for; things are put into order from left to right.

    Raises:
        ValueError: there are too few or too many things, or a place is not a number.
    """
    given = asked.get("things") if isinstance(asked, dict) else None
    if not isinstance(given, list) or not EMOJI[0] <= len(given) <= EMOJI[1]:
        count = len(given) if isinstance(given, list) else 0
        raise ValueError(f"a scene has {EMOJI[0]} to {EMOJI[1]} things, not {count}")
    try:
        things = [Thing(str(thing["emoji"])[:20], _share(thing["x"]), _share(thing["y"])) for thing in given]
    except (KeyError, TypeError, ValueError):
        raise ValueError("a thing of the scene has no name or no place: put it there again") from None
    background = str(asked.get("background"))[:20]
    if background not in BACKGROUNDS:
        raise ValueError(f"the background is {background}: use one of {', '.join(BACKGROUNDS)}")
    return Arrangement(tuple(sorted(things, key=lambda thing: thing.x)), background)


def write_sprites(path: Path) -> None:
    """Write the sheet of all things that scenes can show."""
    world = EmojiWorld()
    sheet = Image.new("RGBA", (COLUMNS * SPRITE, math.ceil(len(world.nouns) / COLUMNS) * SPRITE))
    for index in range(len(world.nouns)):
        sheet.paste(world.sprite(index, SPRITE), (index % COLUMNS * SPRITE, index // COLUMNS * SPRITE))
    file = io.BytesIO()
    sheet.save(file, "WEBP", quality=80)
    path.write_bytes(file.getvalue())


def _edge(middle: float, side: int) -> int:
    return round(min(max(middle * SIDE - side / 2, 0), SIDE - side))


def _share(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return round(min(max(number, 0.0), 1.0), 3)
