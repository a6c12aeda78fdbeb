"""Measure a run on held-out scenes: captions direct, with prefix and by way of English, and translations."""

from collections.abc import Iterator, Sequence
from typing import Any

from ..data.emoji_scenes.wording import LANGUAGES
from ..data.emoji_scenes.world import EmojiWorld, Scene
from ..evaluation.metrics.scenes import SceneScorer
from ..evaluation.scene_generation import generate, image_tokens
from ..modeling_florenz import FlorenzForConditionalGeneration
from ..processing_florenz import FlorenzProcessor
from .arms import hidden_half


SEED = 2025  # of the scenes measured; training uses others
MODES = ("direct", "prefix", "pivot", "translate")
PROTOCOL = (
    "greedy, at most 64 new tokens, float32; held-out scenes of two or three things, each with a pair of things that "
    "never met in training; the first half of the scenes shows only things that no arm g or i ever hides, the second "
    "half only things that they may hide; exact: equal to the world's sentence after NFKC, case folding and folding "
    "of white space; things: how many of the scene's things the caption names; language: frame and all names are of "
    "the asked language; direct: caption prompt; prefix: the same after the language's frame; pivot: English caption, "
    "then its translation beside the image; translate: the world's English sentence translated beside the image"
)


def measured_scenes(world: EmojiWorld, count: int) -> list[Scene]:
    """Return held-out scenes: half of them of nouns that are never hidden, half of nouns in the hidden half."""
    half = set(hidden_half(world))

    def of(hidden: bool) -> Iterator[Scene]:
        index = 0
        while True:
            scene = world.scene("test", index, SEED)
            index += 1
            if all((world.nouns[noun].key in half) is hidden for noun in scene.nouns):
                yield scene

    return [scene for hidden in (False, True) for scene, _ in zip(of(hidden), range(count // 2), strict=False)]


def measure(
    model: FlorenzForConditionalGeneration,
    processor: FlorenzProcessor,
    count: int,
    languages: Sequence[str] = LANGUAGES,
    modes: Sequence[str] = MODES,
) -> dict[str, Any]:
    """Score every scene in every mode and language.

    Args:
        count: number of scenes, even.
        languages: of captions and translations.
        modes: ways to write them.

    Returns:
        cells by mode, language and measure (`exact`, `things`, `language`): a string with one digit per scene, in the
        order of `measured_scenes`; and `nouns`, the number of things of each scene, likewise.
    """
    world = EmojiWorld()
    scorer = SceneScorer(world)
    scenes = measured_scenes(world, count)
    image = image_tokens(model, world, scenes)

    def write(task: str, languages: list[str], *arguments: Any) -> list[str]:
        return generate(model, processor, image, task, languages, *arguments)

    def cell(texts: list[str], language: str, prefix: bool = False) -> dict[str, str]:
        rows = [scorer.score(scene, language, text, prefix) for scene, text in zip(scenes, texts, strict=True)]
        return {
            "exact": "".join(str(int(row["exact"])) for row in rows),
            "things": "".join(
                str(round(row["objects"] * len(scene.nouns))) for row, scene in zip(rows, scenes, strict=True)
            ),
            "language": "".join(str(int(row["language"])) for row in rows),
        }

    cells: dict[str, dict[str, dict[str, str]]] = {mode: {} for mode in modes}
    english = write("caption", ["en"] * count) if "pivot" in modes or "en" in languages else []
    truths = [world.caption(scene, "en") for scene in scenes]
    for language in languages:
        asked = [language] * count
        if "direct" in modes:
            direct = english if language == "en" else write("caption", asked)
            cells["direct"][language] = cell(direct, language)
        if "prefix" in modes:
            cells["prefix"][language] = cell(write("caption", asked, None, True), language, prefix=True)
        for mode, sources in (("pivot", english), ("translate", truths)):
            if mode in modes and language != "en":
                texts = write("translate", asked, [source or "something" for source in sources])
                cells[mode][language] = cell(texts, language)
    return {"nouns": "".join(str(len(scene.nouns)) for scene in scenes), "cells": cells}
