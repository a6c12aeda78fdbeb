"""Texts of emoji scenes: captions, sources with hidden nouns, and pairs that a picture tells apart."""

import random
from collections import Counter
from dataclasses import replace

import pytest
from emoji_worlds import scene_of

from modeling_florenz.data.emoji_scenes.coverage import PAPER_COVERAGE, Coverage
from modeling_florenz.data.emoji_scenes.wording import LANGUAGES, PREFIXES
from modeling_florenz.data.emoji_scenes.world import EmojiWorld, Scene
from modeling_florenz.data.hiding import Hiding


@pytest.fixture
def unrendered(world, monkeypatch) -> EmojiWorld:
    monkeypatch.setattr(world, "render", lambda scene: None)
    return world


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
    texts = {key: everything.caption(scene_of(everything, "dog", key), "es") for key in ("church", "cat")}
    assert texts["church"] == "Una imagen: perro e iglesia."
    assert texts["cat"] == "Una imagen: perro y gato."
    for name, conjunction in (("hielo", "y"), ("hilo", "e")):
        renamed = EmojiWorld()
        renamed.nouns = tuple(replace(noun, names={**noun.names, "es": name}) for noun in renamed.nouns)
        assert renamed.caption(Scene((0, 1), "red", 0), "es") == f"Una imagen: {name} {conjunction} {name}."


@pytest.mark.parametrize("language", LANGUAGES)
def test_different_nouns_give_different_texts(world, language):
    texts = {world.caption(Scene((index,), "red", 0), language) for index in range(len(world.nouns))}
    assert len(texts) == len(world.nouns)


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
        assert all(map(unrendered.shows_held_out, scenes))
        ((one, other),) = [nouns for nouns in zip(*scenes, strict=True) if nouns[0] != nouns[1]]
        assert unrendered.nouns[one].broader == unrendered.nouns[other].broader is not None
        assert unrendered.nouns[one].broader in pair[0]["source"]


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
