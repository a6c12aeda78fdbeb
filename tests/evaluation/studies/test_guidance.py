"""Guidance is measured by readings and translations at each strength, shown right and wrong images."""

import pytest
import torch
from PIL import Image

from modeling_florenz.checkpoint.loading import LoadedModel, load
from modeling_florenz.data.emoji_scenes.world import EmojiWorld
from modeling_florenz.evaluation.scene_generation import tokens_of_images
from modeling_florenz.evaluation.studies.guidance import STRENGTHS, ambiguous, exact, shown_images


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return load()


def test_each_item_is_shown_its_own_image_a_grey_one_and_that_of_another() -> None:
    images = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    shown = shown_images(images)
    assert shown["right"] == images
    assert all(image is not other for image, other in zip(images, shown["another"], strict=True))
    assert {image.getpixel((0, 0)) for image in shown["grey"]} == {(128, 128, 128)}


def test_without_the_image_a_pair_is_a_coin_and_with_it_it_is_resolved(loaded: LoadedModel) -> None:
    items = EmojiWorld().ambiguous_pairs(4, 0, "de")
    shown = shown_images([item["image"] for item in items])
    shares = ambiguous(loaded, items, "de", tokens_of_images(loaded.model, shown["right"]))
    assert shares[0] == 0.5 and set(shares[STRENGTHS.index(1.0) :]) == {1.0}
    assert set(ambiguous(loaded, items, "de", tokens_of_images(loaded.model, shown["grey"]))) == {0.5}


def test_translations_at_strength_1_are_those_without_guidance(loaded: LoadedModel) -> None:
    world = EmojiWorld()
    scenes = [world.scene("test", index, 3) for index in range(4)]
    sources, targets = ([world.caption(scene, code) for scene in scenes] for code in ("en", "de"))
    shares = exact(loaded, sources, targets, "de", tokens_of_images(loaded.model, list(map(world.render, scenes))))
    assert shares[STRENGTHS.index(1.0)] == 1.0
    assert len(shares) == len(STRENGTHS) and torch.tensor(shares).ge(0).all()
