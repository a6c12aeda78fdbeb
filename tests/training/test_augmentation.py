"""Images are changed a little and repeatably, never mirrored; averaged checkpoints are their mean."""

import random

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from small_recipes import small_recipe

from modeling_florenz.training.augmentation import Augmented, augment
from modeling_florenz.training.fine_tuning import fine_tune
from modeling_florenz.training.recipe import parse_recipe


def _halves() -> Image.Image:
    image = Image.new("RGB", (100, 80), (200, 40, 40))
    image.paste((40, 40, 200), (50, 0, 100, 80))
    return image


def test_left_stays_left_and_the_same_draw_is_changed_in_the_same_way():
    rows = [{"image": _halves(), "draw_seed": f"0/{draw}"} for draw in range(50)]
    rows.append({"skipped": "broken"})
    changed = Augmented(rows, 1.0)
    assert changed[50] == {"skipped": "broken"}
    images = [changed[draw]["image"] for draw in range(50)]
    assert all(image.tobytes() == changed[draw]["image"].tobytes() for draw, image in enumerate(images))
    assert len({image.tobytes() for image in images}) == 50
    for image in images:
        left, right = image.getpixel((2, 2)), image.getpixel((image.width - 3, 2))
        assert left[0] > left[2]
        assert right[2] > right[0]
        assert image.width >= 80
        assert image.height >= 64


def test_no_strength_changes_nothing():
    assert augment(_halves(), 0.0, random.Random(0)).tobytes() == _halves().tobytes()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"augmentation": 2.0}, "augmentation must be a share"),
        ({"augmentation": 0.5, "cache_image_features": True}, "no augmentation"),
        ({"average_checkpoints": -1}, "must not be negative"),
        ({"average_checkpoints": 3, "save_total_limit": 2}, "save_total_limit keeps 2"),
    ],
)
def test_what_cannot_work_is_refused(values, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        parse_recipe(small_recipe(tmp_path / "run", **values))


def test_an_averaged_adapter_is_the_mean_of_its_checkpoints(tmp_path):
    values = small_recipe(tmp_path / "run", average_checkpoints=2, learning_rate=0.01, augmentation=0.5)
    run = fine_tune(values)
    assert run.results["averaged_steps"] == [2, 4]
    kept = [load_file(tmp_path / "run" / f"checkpoint-{step}" / "adapter_model.safetensors") for step in (2, 4)]
    saved = load_file(run.folder / "adapter_model.safetensors")
    assert all(torch.allclose(saved[name], (kept[0][name] + kept[1][name]) / 2, atol=1e-7) for name in saved)
    assert any(not torch.equal(kept[0][name], kept[1][name]) for name in saved)
