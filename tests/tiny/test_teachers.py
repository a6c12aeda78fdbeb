"""The registered bars of distillation and preference are decided from the evaluations."""

import json

import pytest

from modeling_florenz.data.emoji_scenes.world import EmojiWorld
from modeling_florenz.tiny.teachers import compare


def write(folder, name, measure, value):
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "emoji_scenes.json").write_text(json.dumps({"aggregate": {measure: value}}))


def evaluations(folder, plain=(50, 50), distilled=(95, 95), after=(70, 70), blank=50):
    write(folder, "teacher", "caption exact", 100)
    for seed in (0, 1):
        for arm, value in (("student", 1), ("plain", plain[seed]), ("distilled", distilled[seed])):
            write(folder, f"{arm}-{seed}", "caption exact", value)
        for image in ("on", "blank", "shuffled"):
            write(folder, f"base-{seed}-{image}", "ambiguous accuracy", 60 if image == "on" else 50)
            write(folder, f"dpo-{seed}-{image}", "ambiguous accuracy", after[seed] if image == "on" else blank)
    return compare(folder)


def test_a_bar_holds_only_in_both_seeds(tmp_path):
    found = evaluations(tmp_path / "both")
    assert found["distillation"]["holds"]
    assert found["preference"]["holds"]
    assert not evaluations(tmp_path / "weak", distilled=(95, 89))["distillation"]["holds"]
    assert not evaluations(tmp_path / "needless", plain=(50, 91))["distillation"]["holds"]
    assert not evaluations(tmp_path / "small", after=(70, 64))["preference"]["holds"]
    assert not evaluations(tmp_path / "blind", blank=56)["preference"]["holds"]


def test_a_missing_evaluation_is_named(tmp_path):
    with pytest.raises(ValueError, match="is missing: evaluate that run first"):
        compare(tmp_path)


def test_ambiguous_training_scenes_show_no_held_out_pair():
    world = EmojiWorld()
    items = world.ambiguous_texts(10, seed=0, language="de", split="train")
    assert not any(world.shows_held_out(item["scene"].nouns) for item in items)
    assert all(world.shows_held_out(item["scene"].nouns) for item in world.ambiguous_texts(10, 0, "de"))
