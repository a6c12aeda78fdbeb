"""Recipes and folders of photos small enough to train on in a test."""

import json
from pathlib import Path
from typing import Any

from PIL import Image


SCENES = [{"dataset": "emoji_scenes", "task": "translate", "languages": ["de", "fr"], "examples": 40}]


def small_recipe(output: Path, **more: Any) -> dict[str, Any]:
    """Return the values of a recipe that trains a LoRA for four steps."""
    return {
        "model": "florenz-tiny",
        "train_data": SCENES,
        "output_dir": str(output),
        "max_steps": 4,
        "per_device_train_batch_size": 2,
        "warmup_steps": 0,
        "logging_steps": 1,
        "save_steps": 2,
        "use_cpu": True,
        "disable_tqdm": True,
        "lora_rank": 2,
        "lora_alpha": 4,
        **more,
    }


def write_photos(folder: Path, count: int = 6) -> Path:
    """Write a folder of one's own: images and captions.jsonl."""
    folder.mkdir(parents=True)
    rows = []
    for index in range(count):
        Image.new("RGB", (40, 30), (30 * index, 90, 120)).save(folder / f"{index}.png")
        rows.append(json.dumps({"image": f"{index}.png", "text": f"A picture of dog, number {index}."}))
    (folder / "captions.jsonl").write_text("\n".join(rows) + "\n")
    return folder
