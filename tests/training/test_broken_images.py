"""Images that cannot be shown: skipped, counted and named, whenever that comes out."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.cli import main
from modeling_florenz.processing_florenz import FlorenzProcessor
from modeling_florenz.training.training_data import TrainingCollator


def test_an_oversized_picture_and_a_broken_one_do_not_end_the_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.txt").write_text("Ein Bild: Hund.\n")
    Image.new("RGB", (40, 30), "red").save(folder / "a.png")
    Image.new("1", (10_001, 10_000)).save(folder / "b.png")
    Image.fromarray(np.array([[0.0, np.nan]], dtype=np.float32)).save(folder / "c.tif")
    recipe = {
        "model": "florenz-tiny",
        "method": "lora",
        "lora_rank": 2,
        "train_data": [{"dataset": "folder", "folder": "photos", "languages": ["de"]}],
        "data_folder": str(tmp_path),
        "max_steps": 3,
        "per_device_train_batch_size": 1,
        "warmup_steps": 0,
        "use_cpu": True,
        "disable_tqdm": True,
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert main(["train", str(tmp_path / "recipe.yaml"), "--set", f"output_dir={tmp_path / 'run'}"]) == 1
    adapter = tmp_path / "run" / "adapter"
    assert (adapter / "adapter_model.safetensors").is_file()
    skipped = json.loads((adapter / "results.json").read_text(encoding="utf-8"))["skipped"]
    assert len(skipped) == 2
    for name, reason in (("b.png", "10001 x 10000 pixels"), ("c.tif", "its values from nan to nan")):
        assert any(f"{folder / name}" in text and reason in text for text in skipped)
        assert name in caplog.text


class Late(Image.Image):
    """Stands in for a file that breaks when it is decoded, after its row was read."""

    filename = "late.avif"

    def load(self) -> None:
        raise RuntimeError("Failed to decode frame 0")


@pytest.mark.parametrize("alone", [False, True])
def test_what_the_processor_refuses_after_a_row_was_read_is_skipped(alone: bool) -> None:
    def row(image: Image.Image, key: str) -> dict:
        return {"image": image, "task": "caption", "language": "de", "source": "", "target": "Hund.", "key": key}

    late = Late()
    late._size, late._mode = (4, 4), "RGB"
    rows = [row(Image.new("1", (10_001, 10_000)), "b.png"), row(late, "m.avif")]
    rows = rows if alone else [*rows, row(Image.new("RGB", (4, 4)), "a.png")]
    batch = TrainingCollator(FlorenzProcessor.from_pretrained(BUNDLED_MODEL))(rows)
    assert batch["skipped"] == [
        "b.png: 10001 x 10000 pixels are more than the limit of 100,000,000",
        "late.avif: Failed to decode frame 0",
    ]
    assert len(batch["labels"]) == len(batch["pixel_values"]) == 1
    assert bool(torch.all(batch["labels"] == -100)) == alone
