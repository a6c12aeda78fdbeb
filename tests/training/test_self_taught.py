"""A model that teaches itself: captions by way of English are the targets of direct ones."""

import pytest
import torch

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.data.emoji_scenes.world import EmojiWorld
from modeling_florenz.data.unlabelled import load_unlabelled
from modeling_florenz.modeling_florenz import FlorenzForConditionalGeneration
from modeling_florenz.processing_florenz import FlorenzProcessor
from modeling_florenz.resumable import JsonLines
from modeling_florenz.training.self_taught import best_share, self_taught_groups, teach_itself, with_self_taught


SCENES = 6


@pytest.fixture(scope="module")
def world():
    return EmojiWorld()


@pytest.fixture
def photos(tmp_path, world):
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(SCENES):
        world.render(world.scene("train", index)).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def model():
    return FlorenzForConditionalGeneration.from_pretrained(BUNDLED_MODEL, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def processor():
    return FlorenzProcessor.from_pretrained(BUNDLED_MODEL)


def test_targets_are_the_models_own_captions_and_what_it_can_do_is_rehearsed(
    tmp_path, world, photos, model, processor
):
    images = load_unlabelled(photos, "fr")
    groups = teach_itself(model, processor, images, "fr", 1.0, tmp_path / "fr.jsonl")
    assert set(groups) == {"caption/fr", "caption/en", "translate/fr"}
    rows = [groups["caption/fr"][index] for index in range(SCENES)]
    truths = [world.caption(world.scene("train", index), "fr") for index in range(SCENES)]
    assert sum(row["target"] == truth for row, truth in zip(rows, truths, strict=True)) >= SCENES - 1
    assert {(row["task"], row["language"], row["source"]) for row in rows} == {("caption", "fr", None)}
    translation = groups["translate/fr"][0]
    assert translation["source"] == groups["caption/en"][0]["target"]
    assert translation["target"] == rows[0]["target"]
    assert rows[0]["image"].size == (96, 96)


def test_a_second_run_makes_nothing_again(tmp_path, photos, model, processor, monkeypatch):
    images, path = load_unlabelled(photos, "es"), tmp_path / "es.jsonl"
    first = teach_itself(model, processor, images, "es", 1.0, path)["caption/es"]
    path.write_bytes(path.read_bytes().rsplit(b"\n", 2)[0][:-9])  # two entries are gone, one of them torn
    again = teach_itself(model, processor, images, "es", 1.0, path)["caption/es"]
    assert again.without_images() == first.without_images()
    monkeypatch.setattr(FlorenzForConditionalGeneration, "generate", None)
    assert len(teach_itself(model, processor, images, "es", 1.0, path)["caption/es"]) == SCENES


def test_what_the_model_finds_unlikely_is_left_out(tmp_path, photos, model, processor):
    entries = [{"row": row, "score": score} for row, score in enumerate((-0.1, -3.0, -0.2, -0.4, -2.0))]
    assert [entry["row"] for entry in best_share(entries, 0.6)] == [0, 2, 3]
    path = tmp_path / "fr.jsonl"
    groups = teach_itself(model, processor, load_unlabelled(photos, "fr"), "fr", 0.5, path)
    scores = {entry["row"]: entry["score"] for entry in JsonLines(path, "language", "row").entries.values()}
    kept = [int(row["key"].removesuffix(".png")) for row in groups["caption/fr"].without_images()]
    assert len(kept) == SCENES // 2
    assert min(scores[row] for row in kept) >= max(score for row, score in scores.items() if row not in kept)


def test_an_image_that_cannot_be_read_teaches_nothing(tmp_path, photos, model, processor):
    (photos / "0.png").write_bytes(b"no image")
    groups = teach_itself(model, processor, load_unlabelled(photos, "fr"), "fr", 1.0, tmp_path / "fr.jsonl")
    assert "0.png" not in groups["caption/fr"].column("key")
    assert len(groups["caption/fr"]) == SCENES - 1


def test_groups_of_several_languages_are_joined(tmp_path, photos, model, processor):
    groups = {
        "unlabelled/fr": load_unlabelled(photos, "fr", 2),
        "unlabelled/es": load_unlabelled(photos, "es", 3),
        "caption/de": load_unlabelled(photos, "de", 1),
    }
    taught = with_self_taught(model, processor, groups, 1.0, tmp_path)
    assert list(taught) == self_taught_groups(list(groups))
    assert {name: len(rows) for name, rows in taught.items()} == {
        "caption/fr": 2,
        "caption/en": 5,
        "translate/fr": 2,
        "caption/es": 3,
        "translate/es": 3,
        "caption/de": 1,
    }


def test_english_cannot_be_self_taught_by_way_of_itself(photos):
    with pytest.raises(ValueError, match="by way of English: give other languages than en"):
        load_unlabelled(photos, "en")
