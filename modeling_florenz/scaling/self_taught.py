"""Let a model caption scenes by way of its own English, in languages without captions in its training."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from ..data.emoji_scenes.coverage import Coverage
from ..data.emoji_scenes.world import EmojiWorld
from ..evaluation.scene_generation import generate
from ..modeling_florenz import FlorenzForConditionalGeneration
from ..processing_florenz import FlorenzProcessor
from ..resumable import write_text


LANGUAGES = ("fr", "es", "ru", "zh")


def pivot_captions(
    path: Path,
    model: FlorenzForConditionalGeneration,
    processor: FlorenzProcessor,
    features: np.ndarray,
    count: int,
    tasks: Sequence[str] = ("caption",),
) -> list[dict[str, Any]]:
    """Caption the first scenes in English and translate that beside the image, each language in turn; keep the file.

    Args:
        path: JSON lines; if it is there, it is read and nothing is written.
        features: the tower's output `(scenes, channels, grid, grid)`.
        count: number of scenes to caption, from the first on.
        tasks: `caption`, `detailed_caption` or both in turn.

    Returns:
        one row per scene: `task`, `language`, `source` (the English caption), `target`.
    """
    if path.exists():
        return [json.loads(line) for line in path.read_bytes().splitlines()]
    languages = [LANGUAGES[index % len(LANGUAGES)] for index in range(count)]
    with torch.inference_mode():
        image = torch.cat(
            [
                model.model.multi_modal_projector(
                    torch.from_numpy(features[start : min(start + 500, count)]).float().to(model.device)
                )
                for start in range(0, count, 500)
            ]
        )
    chosen = [tasks[index // len(LANGUAGES) % len(tasks)] for index in range(count)]
    english = [""] * count
    for task in tasks:
        places = [index for index, found in enumerate(chosen) if found == task]
        texts = generate(model, processor, image[places], task, ["en"] * len(places))
        for place, text in zip(places, texts, strict=True):
            english[place] = text
    targets = generate(model, processor, image, "translate", languages, [text or "something" for text in english])
    rows = [
        {"task": task, "language": language, "source": source, "target": target}
        for task, language, source, target in zip(chosen, languages, english, targets, strict=True)
    ]
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return rows


class SelfTaughtScenes(Dataset):
    """Alternate between pivot captions of unlabelled scenes and ordinary examples, so that nothing is forgotten."""

    def __init__(
        self,
        world: EmojiWorld,
        coverage: Coverage,
        seed: int,
        features: np.ndarray,
        captions: list[dict[str, Any]],
        first: int = 10_000_000,
    ) -> None:
        self.world, self.coverage, self.seed, self.first = world, coverage, seed, first
        self.features, self.captions = features, captions

    def __len__(self) -> int:
        return 2 * len(self.captions)

    def __getitem__(self, index: int) -> dict[str, Any]:
        place = index // 2
        if index % 2:
            place += len(self.captions)
            row = self.world.training_texts(self.first + place, self.coverage, self.seed)
        else:
            caption = self.captions[place]
            row = {**caption, "source": None}
        return {**row, "features": self.features[place]}
