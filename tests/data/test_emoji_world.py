"""The emoji world: names, splits and pictures."""

from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from emoji_worlds import scene_of
from PIL import Image

from modeling_florenz.data.emoji_scenes import world as world_module
from modeling_florenz.data.emoji_scenes.wording import PREFIXES
from modeling_florenz.data.emoji_scenes.world import EmojiWorld, Scene


COLOURS = ("red", "blue", "green", "yellow", "purple", "brown", "grey", "white")


def pairs_in(world: EmojiWorld, split: str, count: int) -> set[tuple[int, ...]]:
    scenes = [world.scene(split, index) for index in range(count)]
    return {tuple(sorted(pair)) for scene in scenes for pair in combinations(scene.nouns, 2)}


def test_names_are_unique_in_every_language(everything):
    for language in PREFIXES:
        names = [noun.names[language].casefold() for noun in everything.nouns]
        assert len(set(names)) == len(names)


def test_names_can_be_joined_in_a_list(everything):
    for noun in everything.nouns:
        for language, name in noun.names.items():
            assert name == name.strip() and name
            assert not set(name) & set(",.:;、。：()\u2019")
            assert not {"and", "und", "et", "y", "e", "и"} & set(name.split())
            assert language != "zh" or "和" not in name


def test_the_core_has_at_least_200_nouns_and_comes_first(world, everything):
    assert len(world.nouns) >= 200
    assert everything.nouns[: len(world.nouns)] == world.nouns
    assert not any(noun.core for noun in everything.nouns[len(world.nouns) :])


def test_every_broader_word_has_three_core_nouns_and_names_none(world, everything):
    counts = Counter(noun.broader for noun in world.nouns if noun.broader)
    assert min(counts.values()) >= 3
    assert {noun.broader for noun in everything.nouns if noun.broader} == set(counts)
    assert not set(counts) & {noun.names["en"] for noun in everything.nouns}
    assert sum(counts.values()) > 0.9 * len(world.nouns)


def test_atlas_and_nouns_agree(everything):
    cell = 56
    atlas = Image.open(Path(world_module.__file__).parent / "emoji" / "atlas.webp").convert("RGBA")
    columns, rows = atlas.width // cell, atlas.height // cell
    assert columns * (rows - 1) < len(everything.nouns) <= columns * rows
    alpha = np.asarray(atlas)[:, :, 3].reshape(rows, cell, columns, cell).max(axis=(1, 3)).ravel()
    assert (alpha[: len(everything.nouns)] > 0).all()
    assert not alpha[len(everything.nouns) :].any()


def test_sprites_show_their_nouns(world):
    def colour(key: str) -> np.ndarray:
        scene = scene_of(world, key, background="grey")
        ((left, top, size),) = world.layout(scene)
        quarter = size // 4
        box = (left + quarter, top + quarter, left + size - quarter, top + size - quarter)
        return np.asarray(world.render(scene).crop(box), float).mean((0, 1))

    red, green = colour("tomato"), colour("broccoli")
    assert red[0] > red[1] + 50 and green[1] > green[0] + 20


def test_scene_is_the_same_on_every_call(world):
    late = [world.scene("train", index, seed=3) for index in reversed(range(50))]
    again = EmojiWorld()
    assert late[::-1] == [again.scene("train", index, seed=3) for index in range(50)]


def test_scene_is_the_same_in_every_process(world):
    assert world.scene("test", 5, seed=1) == scene_of(
        world, "zebra", "basketball", "paperclip", background="green", seed=3210880847
    )


def test_scenes_differ_with_the_seed_and_the_split(world):
    assert world.scene("train", 0, seed=0) != world.scene("train", 0, seed=1)
    assert world.scene("train", 0) != world.scene("test", 0)


def test_objects_of_a_scene_are_distinct_and_as_many_as_asked(world):
    for index in range(300):
        scene = world.scene("train", index, objects=(2, 3))
        assert len(set(scene.nouns)) == len(scene.nouns) in (2, 3)
    assert {len(world.scene("train", index).nouns) for index in range(50)} == {1, 2, 3}
    assert {len(world.scene("test", index).nouns) for index in range(50)} == {2, 3}
    assert {len(world.scene("test", index, objects=(1, 3)).nouns) for index in range(50)} == {3}


def test_train_and_test_share_no_held_out_pair(world):
    seen = pairs_in(world, "train", 20_000)
    for index in range(2000):
        pairs = {tuple(sorted(pair)) for pair in combinations(world.scene("test", index).nouns, 2)}
        assert not pairs <= seen


def test_about_eight_in_a_hundred_pairs_are_held_out(world, everything):
    for one in (world, everything):
        pairs = list(combinations(range(0, len(one.nouns), 2), 2))
        assert sum(map(one.shows_held_out, pairs)) / len(pairs) == pytest.approx(0.08, abs=0.01)


def test_scene_shows_the_emoji_it_is_made_from(world):
    scene = world.from_emoji(["🐕", "✈", "🌹"], background="green")
    assert world.caption(scene, "en") == "A picture of dog, airplane and rose."
    assert world.from_emoji(["✈\ufe0f"]) == world.from_emoji(["✈"])


def test_image_is_the_same_on_every_call(world):
    scene = world.scene("train", 7)
    image = world.render(scene)
    assert image.mode == "RGB" and image.size == (96, 96)
    assert image.tobytes() == EmojiWorld().render(scene).tobytes()


def test_images_differ_when_only_the_seed_differs(world):
    images = [world.render(scene_of(world, "dog", "cat", seed=seed)).tobytes() for seed in range(20)]
    assert len(set(images)) == 20


def test_backgrounds_are_clearly_separable(world):
    def corner(background: str, seed: int) -> np.ndarray:
        image = np.asarray(world.render(scene_of(world, "dog", background=background, seed=seed)), float)
        return np.median(np.concatenate([image[:, :10], image[:, -10:]], axis=1), axis=(0, 1))

    means = {name: np.mean([corner(name, seed) for seed in range(10)], axis=0) for name in COLOURS}
    for name in COLOURS:
        for seed in range(10, 40):
            distances = {other: np.abs(corner(name, seed) - mean).sum() for other, mean in means.items()}
            assert min(distances, key=distances.get) == name


def test_sprites_keep_their_order_and_do_not_overlap(world, monkeypatch):
    boxes = []
    paste = Image.Image.paste
    monkeypatch.setattr(
        Image.Image,
        "paste",
        lambda image, sprite, place, mask: (boxes.append((*place, *sprite.size)), paste(image, sprite, place, mask)),
    )
    for index in range(200):
        boxes.clear()
        scene = world.scene("train", index)
        world.render(scene)
        assert len(boxes) == len(scene.nouns)
        for left, top, width, height in boxes:
            assert left >= 0 and top >= 0 and left + width <= 96 and top + height <= 96
            assert 0.27 * 96 <= width <= 0.5 * 96
        for first, second in zip(boxes, boxes[1:], strict=False):
            assert first[0] + first[2] <= second[0]


def test_images_have_the_asked_size():
    assert EmojiWorld(image_size=224).render(Scene((0, 1), "red", 0)).size == (224, 224)
