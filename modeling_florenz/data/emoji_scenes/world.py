"""Emoji scenes: a small world of images with captions and translations, drawn and worded on demand.

A scene is one to three things on a plain background. Its texts only list names, so no language needs inflection.
Everything is a function of split, index and seed: nothing is stored, and every process sees the same examples.
"""

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..hiding import Hiding
from .coverage import Coverage
from .wording import COLOURS, POSITIONS, PREFIXES, TASKS, caption_of, check, check_pair, detailed_caption_of


_RGB = tuple(map(bytes.fromhex, ("cd3c37", "3c69cd", "4ba04b", "eed046", "9150b4", "78502d", "8c8c8c", "f0f0f0")))
BACKGROUNDS = {name: f"#{colour.hex()}" for name, colour in zip(COLOURS["en"], _RGB, strict=True)}
_DATA = Path(__file__).parent / "emoji"
ATLAS = _DATA / "atlas.webp"
COLUMNS = 24  # sprites in a row of the atlas
_HELD_OUT = 0.08  # share of the pairs of nouns that never meet in a training scene


@dataclass(frozen=True)
class Noun:
    """Describe a thing that scenes can show; `broader` is an English word for its kind, if it has one."""

    emoji: str
    key: str
    category: str
    broader: str | None
    core: bool
    names: dict[str, str]


@dataclass(frozen=True)
class Scene:
    """Describe an image: nouns by index, left to right; the seed fixes shades, sizes and places."""

    nouns: tuple[int, ...]
    background: str
    seed: int

    def __post_init__(self) -> None:
        check("number of nouns", len(self.nouns), tuple(POSITIONS))
        check("background", self.background, COLOURS["en"])


@cache
def _read_atlas() -> Image.Image:
    """Read the picture of all sprites once for all worlds, which only cut from it."""
    with Image.open(ATLAS) as file:
        return file.convert("RGBA")


class EmojiWorld:
    """Draw and describe scenes over a vocabulary of nouns, core or all, as square images of `image_size` pixels."""

    def __init__(self, vocabulary: str = "core", image_size: int = 96) -> None:
        check("vocabulary", vocabulary, ("core", "all"))
        if image_size < 16:
            raise ValueError(f"image_size must be at least 16 pixels, not {image_size!r}.")
        nouns = [Noun(**noun) for noun in json.loads((_DATA / "nouns.json").read_text(encoding="utf-8"))]
        # Core nouns come first in the data, so an index means the same in both vocabularies.
        self.nouns = tuple(noun for noun in nouns if noun.core or vocabulary == "all")
        self.image_size = image_size
        self._keys = frozenset(noun.key for noun in self.nouns)
        self._atlas = _read_atlas()
        self._sprites: dict[tuple[int, int], Image.Image] = {}
        grid = np.linspace(-1.0, 1.0, image_size, dtype=np.float32)
        # Cosine waves: a random sum of them is a gradient with soft noise.
        self._waves = np.cos(np.pi / 2 * (grid[:, None] + 1) * np.arange(6, dtype=np.float32))

    def scene(self, split: str, index: int, seed: int = 0, objects: tuple[int, ...] = (1, 2, 3)) -> Scene:
        """Return a scene of a split, train or test.

        A fixed share of the pairs of nouns is held out: a training scene shows none of them, a test scene at least
        one. Test scenes therefore have two or three nouns, whatever else `objects` allows.
        """
        check("split", split, ("train", "test"))
        for number in objects:
            check("objects", number, tuple(POSITIONS))
        numbers = [number for number in objects if split == "train" or number > 1]
        if not numbers:
            raise ValueError(f"objects must allow {'2 or 3' if split == 'test' else '1, 2 or 3'}, not {objects!r}.")
        rng = random.Random(
            f"{split}/{index}/{seed}"
        )  # a string seeds by its SHA-512, which is the same in every process
        number = rng.choice(numbers)
        nouns: tuple[int, ...] = ()
        while not nouns or self.shows_held_out(nouns) != (split == "test"):
            nouns = tuple(rng.sample(range(len(self.nouns)), number))
        return Scene(nouns, rng.choice(COLOURS["en"]), rng.getrandbits(32))

    def from_emoji(self, emoji: list[str], background: str = "white", seed: int = 0) -> Scene:
        """Return the scene that shows one to three emoji, left to right."""
        known = {noun.emoji.replace("\ufe0f", ""): index for index, noun in enumerate(self.nouns)}
        for symbol in emoji:
            check("emoji", symbol.replace("\ufe0f", ""), tuple(known))
        return Scene(tuple(known[symbol.replace("\ufe0f", "")] for symbol in emoji), background, seed)

    def layout(self, scene: Scene) -> list[tuple[int, int, int]]:
        """Place the things of a scene: left, top and side of each, in pixels."""
        rng = random.Random(f"layout/{scene.seed}")
        smallest, largest = (0.29, 0.37) if len(scene.nouns) == 3 else (0.36, 0.5)
        shares = [rng.uniform(smallest, largest) for _ in scene.nouns]
        sizes = [int(self.image_size * share / max(1.0, sum(shares))) for share in shares]
        gaps = [rng.uniform(0.5, 1.5) for _ in range(len(sizes) + 1)]
        unit = (self.image_size - sum(sizes)) / sum(gaps)
        return [
            (
                int(sum(sizes[:position]) + unit * sum(gaps[: position + 1])),
                rng.randint(0, self.image_size - size),
                size,
            )
            for position, size in enumerate(sizes)
        ]

    def render(self, scene: Scene, without: Sequence[int] = ()) -> Image.Image:
        """Draw a scene as an RGB image; things whose positions are in `without` are left out, all else is the same."""
        rng = random.Random(f"render/{scene.seed}")
        waves = [[rng.gauss(0, 9 / (1 + row + column)) for column in range(6)] for row in range(6)]
        shade = self._waves @ np.array(waves, np.float32) @ self._waves.T
        colour = [channel + rng.uniform(-12, 12) for channel in _RGB[COLOURS["en"].index(scene.background)]]
        image = Image.fromarray(np.clip(shade[:, :, None] + np.array(colour, np.float32), 0, 255).astype(np.uint8))
        for position, (noun, (left, top, size)) in enumerate(zip(scene.nouns, self.layout(scene), strict=True)):
            if position not in without:
                sprite = self.sprite(noun, size)
                image.paste(sprite, (left, top), sprite)
        return image

    def caption(self, scene: Scene, language: str) -> str:
        """Name the things of a scene in a language."""
        return caption_of(self._names(scene, language), language)

    def detailed_caption(self, scene: Scene, language: str) -> str:
        """Name the background and, place by place, the things of a scene in a language."""
        return detailed_caption_of(scene.background, self._names(scene, language), language)

    def source(self, scene: Scene, style: str, hidden: Sequence[bool] = (), rng: random.Random | None = None) -> str:
        """Describe a scene in English; `hidden` says, noun by noun, which of them only the image shows.

        A hidden noun is replaced by its broader word or, as often, by "something", as `rng` decides.
        """
        check("style", style, TASKS[:2])
        words = self._names(scene, "en")
        rng = rng or random.Random(self.key(scene))
        for position, hide in enumerate(hidden):
            if hide:
                words[position] = rng.choice((self.nouns[scene.nouns[position]].broader or "something", "something"))
        return caption_of(words, "en") if style == "caption" else detailed_caption_of(scene.background, words, "en")

    def example(
        self, scene: Scene, task: str, language: str, rng: random.Random, hiding: Hiding | None = None
    ) -> dict[str, Any]:
        """Return a scene as an example of a task; a translation has a source, in a style drawn from `rng`."""
        return {**self.texts(scene, task, language, rng, hiding), "image": self.render(scene)}

    def texts(
        self, scene: Scene, task: str, language: str, rng: random.Random, hiding: Hiding | None = None
    ) -> dict[str, Any]:
        """Return an example without its image; `hidden` counts the nouns that the source does not name.

        Raises:
            ValueError: task and language do not fit, or `hiding` names an unknown thing.
        """
        check_pair(task, language)
        hiding = hiding or Hiding()
        if unknown := set(hiding.things) - self._keys:
            raise ValueError(f"hidden_things must be keys of the world's nouns, not {min(unknown)!r}")
        translate = task == "translate"
        style = rng.choice(TASKS[:2]) if translate else task
        hidden = hiding.choose([self.nouns[noun].key for noun in scene.nouns], language, rng) if translate else []
        target = self.caption(scene, language) if style == "caption" else self.detailed_caption(scene, language)
        return {
            "task": task,
            "language": language,
            "source": self.source(scene, style, hidden, rng) if translate else None,
            "target": target,
            "references": [target],
            "key": self.key(scene),
            "hidden": sum(hidden),
        }

    def training_example(self, index: int, coverage: Coverage, seed: int) -> dict[str, Any]:
        """Return the training example of an index: a training scene with a pair drawn from the coverage."""
        row = self.training_texts(index, coverage, seed)
        return {**row, "image": self.render(row.pop("scene"))}

    def training_texts(self, index: int, coverage: Coverage, seed: int) -> dict[str, Any]:
        """Return the training example of an index with its `scene` in place of the image.

        What is hidden is drawn last, so that two coverages that differ only in hiding show the same scenes, tasks,
        languages and styles in the same order.
        """
        rng = random.Random(f"example/{index}/{seed}")
        task, language = coverage.draw(rng)
        scene = self.scene("train", index, seed)
        row = self.texts(scene, task, language, rng, coverage.hiding)
        if task == "translate" and rng.random() < coverage.hidden_sources:
            row |= {"source": "something", "hidden": len(scene.nouns)}
        return row | {"scene": scene}

    def ambiguous_pairs(self, count: int, seed: int, language: str) -> list[dict[str, Any]]:
        """Return `count` pairs of test items that share an English source which only the image resolves.

        The two scenes of a pair differ in one noun, for which the source has a broader word. What is `correct` for
        one is `incorrect` for the other, so a scorer that is blind to the image gets half of them right.
        """
        items = self.ambiguous_texts(count, seed, language)
        return [{**item, "image": self.render(item["scene"])} for item in items]

    def ambiguous_texts(self, count: int, seed: int, language: str, split: str = "test") -> list[dict[str, Any]]:
        """Return the items of `ambiguous_pairs`, or such of training scenes, with their `scene` for the image."""
        check_pair("translate", language)
        items: list[dict[str, Any]] = []
        index = 0
        while len(items) < 2 * count:
            rng = random.Random(f"ambiguous/{index}/{seed}")
            scene, index = self.scene(split, index, seed), index + 1
            if not (twins := self._twins(scene, split)):
                continue
            position, twin = rng.choice(twins)
            words = self._names(scene, "en")
            words[position] = str(self.nouns[scene.nouns[position]].broader)
            for shown, other in ((scene, twin), (twin, scene)):
                item = {"scene": shown, "source": caption_of(words, "en"), "language": language}
                texts = {"correct": self.caption(shown, language), "incorrect": self.caption(other, language)}
                items.append(item | texts | {"key": self.key(shown)})
        return items

    def _twins(self, scene: Scene, split: str) -> list[tuple[int, Scene]]:
        """List the scenes of a split that differ from a scene in one noun of the same broader word, with its place."""
        twins = []
        for position, noun in enumerate(scene.nouns):
            for other, candidate in enumerate(self.nouns):
                related = candidate.broader is not None and candidate.broader == self.nouns[noun].broader
                nouns = (*scene.nouns[:position], other, *scene.nouns[position + 1 :])
                if related and other not in scene.nouns and self.shows_held_out(nouns) == (split == "test"):
                    twins.append((position, Scene(nouns, scene.background, scene.seed)))
        return twins

    def shows_held_out(self, nouns: Sequence[int]) -> bool:
        """Return whether nouns, by index, hold a pair that never meets in a training scene."""
        return any(_held_out(*sorted((self.nouns[a].key, self.nouns[b].key))) for a, b in combinations(nouns, 2))

    def _names(self, scene: Scene, language: str) -> list[str]:
        check("language", language, tuple(PREFIXES))
        return [self.nouns[noun].names[language] for noun in scene.nouns]

    def key(self, scene: Scene) -> str:
        """Name a scene: what it shows, its background and its seed."""
        return f"{'+'.join(self.nouns[noun].key for noun in scene.nouns)}/{scene.background}/{scene.seed}"

    def sprite(self, noun: int, size: int) -> Image.Image:
        """Return the picture of a noun, by index, as a square of `size` pixels."""
        if (noun, size) not in self._sprites:
            cell = self._atlas.width // COLUMNS
            left, top = noun % COLUMNS * cell, noun // COLUMNS * cell
            sprite = self._atlas.crop((left, top, left + cell, top + cell))
            self._sprites[noun, size] = sprite.resize((size, size), Image.Resampling.BICUBIC)
        return self._sprites[noun, size]


@cache
def _held_out(first: str, second: str) -> bool:
    # A hash decides, so that the split of a pair depends neither on the vocabulary nor on the process.
    return int.from_bytes(hashlib.sha256(f"{first}+{second}".encode()).digest()[:4], "big") < _HELD_OUT * 2**32
