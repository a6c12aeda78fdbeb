"""Sentence pairs find their images: exactly, above a threshold, and at most so many for each image."""

from pathlib import Path

import numpy as np
import pytest

from modeling_florenz.synthesis.closest_pairs import ClosestPairs
from modeling_florenz.synthesis.embed import SceneEmbedder, unit
from modeling_florenz.synthesis.match import ImageIndex


def test_10000_sentences_find_their_images_as_brute_force_does() -> None:
    rng = np.random.default_rng(0)
    images = unit(rng.normal(size=(1000, 64)).astype(np.float32), "oracle")
    owners = np.arange(10_000) % 1000
    queries = unit(images[owners] + 0.05 * rng.normal(size=(10_000, 64)).astype(np.float32), "oracle")
    index = ImageIndex([str(number) for number in range(1000)], images)
    found = [index.closest(queries[start : start + 500], 5, -1.0) for start in range(0, 10_000, 500)]
    found = [line for part in found for line in part]
    assert all(str(owner) in [key for key, _ in line] for owner, line in zip(owners, found, strict=True))
    best = np.argsort(-(queries @ images.T), axis=1, kind="stable")[:, :5]
    assert [[int(key) for key, _ in line] for line in found] == best.tolist()


def test_only_images_above_the_threshold_match() -> None:
    index = ImageIndex(["a", "b"], np.eye(2, dtype=np.float32))
    assert [key for key, _ in index.closest(np.array([[0.8, 0.6]], np.float32), 2, 0.7)[0]] == ["a"]
    assert index.closest(np.array([[0.0, 0.0]], np.float32), 2, 0.7) == [[]]


def test_embeddings_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="CLIP gives 1 of 2 embeddings that are not finite numbers"):
        unit(np.array([[1, 2], [np.nan, 1]], np.float32), "CLIP")


def test_vectors_of_two_models_are_refused() -> None:
    with pytest.raises(ValueError, match="sentences have 3 values and images 2: use one model"):
        ImageIndex(["a"], np.ones((1, 2), np.float32)).closest(np.ones((1, 3), np.float32), 1, 0)


def _pair(number: int, score: float, language: str = "de") -> dict:
    texts = {"english": "A dog.", "target": "Ein Hund."}
    return {"key": f"0-{language}-{number}", "image": "a", "score": score, "language": language, **texts}


def test_an_image_keeps_its_closest_sentences_whatever_their_order(tmp_path: Path) -> None:
    rows = [_pair(number, score) for number, score in enumerate([0.3, 0.9, 0.5, 0.5, 0.7])] + [_pair(0, 0.1, "fr")]
    for order in (rows, rows[::-1]):
        with ClosestPairs(tmp_path / "pairs.sqlite", order, cap=3) as pairs:
            assert [row["key"] for row in pairs.of("a")] == ["0-de-1", "0-de-4", "0-de-2", "0-fr-0"]
            assert pairs.of("a")[0] == rows[1]
            assert pairs.of("b") == []
    assert not list(tmp_path.iterdir())


def test_a_sentence_about_a_scene_fits_as_far_as_the_scene_shows_what_it_names() -> None:
    embedder = SceneEmbedder()
    from modeling_florenz.data.emoji_scenes.world import EmojiWorld

    world = EmojiWorld()
    scene = next(scene for scene in (world.scene("train", index) for index in range(50)) if len(scene.nouns) == 2)
    index = next(index for index in range(50) if world.scene("train", index) == scene)
    images = embedder.images([{"name": f"emoji_scenes#{index}"}])
    first, second = (world.nouns[noun].names["en"] for noun in scene.nouns)
    other = next(noun.names["en"] for number, noun in enumerate(world.nouns) if number not in scene.nouns)
    texts = [f"A picture of {words}." for words in (f"{first} and {second}", first, f"{first} and {other}", other)]
    assert (embedder.texts(texts) @ images.T).ravel().tolist() == pytest.approx([1, 1, 0.5, 0])
