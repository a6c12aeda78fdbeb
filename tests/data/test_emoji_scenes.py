import random
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from modeling_florenz.data.emoji_scenes import world as emoji_scenes
from modeling_florenz.data.emoji_scenes.world import LANGUAGES, PAPER_COVERAGE, PREFIXES, Coverage, EmojiWorld, Scene
from modeling_florenz.data.hiding import Hiding


COLOURS = ("red", "blue", "green", "yellow", "purple", "brown", "grey", "white")


@pytest.fixture(scope="module")
def world() -> EmojiWorld:
    return EmojiWorld()


@pytest.fixture(scope="module")
def everything() -> EmojiWorld:
    return EmojiWorld("all")


@pytest.fixture
def unrendered(world, monkeypatch) -> EmojiWorld:
    monkeypatch.setattr(world, "render", lambda scene: None)
    return world


def scene_of(world: EmojiWorld, *keys: str, background: str = "blue", seed: int = 0) -> Scene:
    index = {noun.key: position for position, noun in enumerate(world.nouns)}
    return Scene(tuple(index[key] for key in keys), background, seed)


def pairs_in(world: EmojiWorld, split: str, count: int) -> set[tuple[int, ...]]:
    scenes = [world.scene(split, index) for index in range(count)]
    return {tuple(sorted(pair)) for scene in scenes for pair in combinations(scene.nouns, 2)}


# The data


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
    columns, rows = everything._atlas.width // cell, everything._atlas.height // cell
    assert columns * (rows - 1) < len(everything.nouns) <= columns * rows
    alpha = np.asarray(everything._atlas)[:, :, 3].reshape(rows, cell, columns, cell).max(axis=(1, 3)).ravel()
    assert (alpha[: len(everything.nouns)] > 0).all()
    assert not alpha[len(everything.nouns) :].any()


def test_sprites_show_their_nouns(world):
    red, green = (world._sprite(scene_of(world, key).nouns[0], 40) for key in ("tomato", "broccoli"))
    red, green = (np.asarray(sprite, float)[np.asarray(sprite)[:, :, 3] > 200].mean(0) for sprite in (red, green))
    assert red[0] > red[1] + 50 and green[1] > green[0] + 20


# Scenes


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
        assert sum(map(one._shows_held_out, pairs)) / len(pairs) == pytest.approx(0.08, abs=0.01)


def test_scene_shows_the_emoji_it_is_made_from(world):
    scene = world.from_emoji(["🐕", "✈", "🌹"], background="green")
    assert world.caption(scene, "en") == "A picture of dog, airplane and rose."
    assert world.from_emoji(["✈\ufe0f"]) == world.from_emoji(["✈"])


# Images


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


# Texts


@pytest.mark.parametrize(
    ("language", "caption", "detailed"),
    [
        ("en", "A picture of dog, cat and rose.", "Background: blue. Left: dog. Middle: cat. Right: rose."),
        ("de", "Ein Bild: Hund, Katze und Rose.", "Hintergrund: blau. Links: Hund. Mitte: Katze. Rechts: Rose."),
        (
            "fr",
            "Une image : chien, chat et rose.",
            "Fond : bleu. À gauche : chien. Au centre : chat. À droite : rose.",
        ),
        ("es", "Una imagen: perro, gato y rosa.", "Fondo: azul. Izquierda: perro. Centro: gato. Derecha: rosa."),
        ("ru", "Картинка: собака, кошка и роза.", "Фон: синий. Слева: собака. В центре: кошка. Справа: роза."),
        ("zh", "图片：狗、猫和玫瑰。", "背景：蓝色。左：狗。中：猫。右：玫瑰。"),
        ("it", "Un'immagine: cane, gatto e rosa.", "Sfondo: blu. Sinistra: cane. Centro: gatto. Destra: rosa."),
    ],
)
def test_texts_name_the_scene_in_every_language(world, language, caption, detailed):
    scene = scene_of(world, "dog", "cat", "rose")
    assert world.caption(scene, language) == caption
    assert world.detailed_caption(scene, language) == detailed
    assert caption.startswith(PREFIXES[language])


def test_texts_of_fewer_objects_need_no_list(world):
    assert world.caption(scene_of(world, "dog"), "en") == "A picture of dog."
    assert world.caption(scene_of(world, "dog"), "zh") == "图片：狗。"
    assert world.caption(scene_of(world, "dog", "cat"), "zh") == "图片：狗和猫。"
    assert world.caption(scene_of(world, "dog", "cat"), "de") == "Ein Bild: Hund und Katze."
    assert world.detailed_caption(scene_of(world, "dog"), "en") == "Background: blue. Middle: dog."
    assert world.detailed_caption(scene_of(world, "dog", "cat"), "en") == "Background: blue. Left: dog. Right: cat."


def test_spanish_and_gives_way_before_the_sound_i(everything):
    texts = {key: everything.caption(scene_of(everything, "dog", key), "es") for key in ("church", "ice", "cat")}
    assert texts["church"] == "Una imagen: perro e iglesia."
    assert texts["cat"] == "Una imagen: perro y gato."
    assert emoji_scenes._caption(["perro", "hielo"], "es") == "Una imagen: perro y hielo."
    assert emoji_scenes._caption(["perro", "hilo"], "es") == "Una imagen: perro e hilo."


@pytest.mark.parametrize("language", LANGUAGES)
def test_different_nouns_give_different_texts(world, language):
    texts = {world.caption(Scene((index,), "red", 0), language) for index in range(len(world.nouns))}
    assert len(texts) == len(world.nouns)


# Examples


def test_grounding_hides_the_asked_share_of_nouns(world):
    rng = random.Random(0)
    hidden = total = broader = something = 0
    for index in range(4000):
        scene = world.scene("train", index, objects=(1,))
        noun = world.nouns[scene.nouns[0]]
        source = world.source(scene, "caption", Hiding("independent", 0.3).choose(["thing"], "de", rng), rng)
        total += 1
        hidden += noun.names["en"] not in source
        if noun.broader is not None:
            broader += source == f"A picture of {noun.broader}."
            something += source == "A picture of something."
        else:
            assert source in (f"A picture of {noun.names['en']}.", "A picture of something.")
    assert hidden / total == pytest.approx(0.3, abs=0.03)
    assert broader / (broader + something) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("style", ["caption", "detailed_caption"])
def test_source_without_grounding_is_the_english_text(world, style):
    scene = world.scene("train", 3)
    assert world.source(scene, style) == getattr(world, style)(scene, "en")


def test_hidden_nouns_are_named_in_the_target(unrendered):
    for index in range(200):
        scene = unrendered.scene("train", index)
        example = unrendered.example(scene, "translate", "de", random.Random(index), Hiding("independent", 1.0))
        for noun in scene.nouns:
            assert unrendered.nouns[noun].names["de"] in example["target"]
        words = example["source"].rstrip(".").replace("A picture of ", "").replace(" and ", ", ").split(", ")
        if example["source"].startswith("A picture"):
            assert not {unrendered.nouns[noun].names["en"] for noun in scene.nouns} & set(words)


def test_example_has_the_columns_of_its_task(world):
    scene = world.scene("test", 0)
    caption = world.example(scene, "caption", "it", random.Random(0))
    assert list(caption) == ["task", "language", "source", "target", "references", "key", "hidden", "image"]
    assert caption["source"] is None
    assert caption["target"] == world.caption(scene, "it")
    assert caption["references"] == [caption["target"]]
    translation = world.example(scene, "translate", "it", random.Random(0))
    assert translation["target"] in (world.caption(scene, "it"), world.detailed_caption(scene, "it"))
    assert translation["source"] in (world.caption(scene, "en"), world.detailed_caption(scene, "en"))


def test_keys_name_scenes(unrendered):
    scenes = {unrendered.scene("train", index) for index in range(2000)}
    assert len({unrendered.example(scene, "caption", "en", random.Random(0))["key"] for scene in scenes}) == 2000


def test_shares_of_training_pairs_are_equal(unrendered):
    coverage = Coverage(hiding=Hiding("independent", 0.5))
    examples = [unrendered.training_example(index, coverage, seed=0) for index in range(20_000)]
    counts = Counter((example["task"], example["language"]) for example in examples)
    assert set(counts) == set(PAPER_COVERAGE)
    for (task, _), count in counts.items():
        share = 1 / 7 if task == "translate" else 1 / 14
        assert count / len(examples) == pytest.approx(share, abs=0.01)


def test_training_examples_repeat_and_show_no_held_out_pair(world):
    coverage = Coverage((("translate", "it"), ("caption", "it")), Hiding("independent", 0.5))
    for index in range(20):
        first, second = (world.training_example(index, coverage, seed=2) for _ in range(2))
        assert first.pop("image").tobytes() == second.pop("image").tobytes()
        assert first == second
        assert first["language"] == "it"
        scene = world.scene("train", index, 2)
        assert first["target"] in (world.caption(scene, "it"), world.detailed_caption(scene, "it"))


# Ambiguous pairs


def test_ambiguous_pairs_are_swapped(world):
    items = world.ambiguous_pairs(40, seed=0, language="de")
    assert len(items) == 80
    for first, second in zip(items[::2], items[1::2], strict=True):
        assert first["source"] == second["source"]
        assert (first["correct"], first["incorrect"]) == (second["incorrect"], second["correct"])
        assert first["correct"] != first["incorrect"]
        assert first["key"] != second["key"]
        assert first["image"].tobytes() != second["image"].tobytes()


def test_ambiguous_pairs_differ_in_one_noun_of_one_broader_word_and_are_test_scenes(unrendered):
    index = {noun.key: position for position, noun in enumerate(unrendered.nouns)}
    items = unrendered.ambiguous_pairs(100, seed=1, language="fr")
    for pair in zip(items[::2], items[1::2], strict=True):
        scenes = [tuple(index[key] for key in item["key"].split("/")[0].split("+")) for item in pair]
        assert all(map(unrendered._shows_held_out, scenes))
        ((one, other),) = [nouns for nouns in zip(*scenes, strict=True) if nouns[0] != nouns[1]]
        assert unrendered.nouns[one].broader == unrendered.nouns[other].broader is not None
        assert unrendered.nouns[one].broader in pair[0]["source"]


# Bad values


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda world: EmojiWorld("small"), "core, all, not 'small'"),
        (lambda world: EmojiWorld(image_size=0), "image_size.*0"),
        (lambda world: world.scene("dev", 0), "train, test, not 'dev'"),
        (lambda world: world.scene("train", 0, objects=(4,)), "1, 2, 3, not 4"),
        (lambda world: world.scene("test", 0, objects=(1,)), "2 or 3"),
        (lambda world: Scene((0,), "pink", 0), "white, not 'pink'"),
        (lambda world: Scene((), "red", 0), "number of nouns.*not 0"),
        (lambda world: world.from_emoji(["🦄", "🫥"]), "not '🦄'"),
        (lambda world: world.caption(Scene((0,), "red", 0), "nl"), "en, de, fr, es, ru, zh, it, not 'nl'"),
        (lambda world: world.source(Scene((0,), "red", 0), "poem"), "not 'poem'"),
        (lambda world: world.example(Scene((0,), "red", 0), "translate", "en", random.Random(0)), "not 'en'"),
        (lambda world: world.ambiguous_pairs(1, 0, "en"), "not 'en'"),
        (lambda world: Coverage((("detect", "en"),)), "caption, detailed_caption, translate, not 'detect'"),
        (lambda world: Coverage((("translate", "en"),)), "de, fr, es, ru, zh, it, not 'en'"),
        (lambda world: Coverage(()), "at least one"),
        (lambda world: Coverage(hidden_sources=-0.1), "-0.1"),
        (lambda world: Coverage(hidden_sources=float("nan")), "nan"),
        (lambda world: Coverage(hidden_sources=0.1, hiding=Hiding("partial", 0.5)), "beside hiding partial"),
        (lambda world: Coverage(hidden_sources=0.1, hiding=Hiding("whole", 0.5)), "beside hiding whole"),
        (lambda world: Coverage(hiding=Hiding("partial", 0.5, ("xx",))), "hiding_languages.*'xx'"),
        (lambda world: Coverage(hiding=Hiding("partial", 0.5, ("en",))), "hiding_languages.*'en'"),
        (
            lambda world: world.training_texts(
                0, Coverage((("translate", "de"),), Hiding("partial", 0.5, (), ("unicorn",))), 0
            ),
            "hidden_things.*'unicorn'",
        ),
    ],
)
def test_bad_values_are_named_with_the_valid_ones(world, call, named):
    with pytest.raises(ValueError, match=named):
        call(world)
