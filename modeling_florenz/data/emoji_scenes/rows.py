"""Read emoji scenes as rows: training examples, drawn when they are read, and questions about held-out scenes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from ..dataset_info import Part
from ..datasets import DATASETS
from ..rows import Rows
from .coverage import Coverage
from .world import EmojiWorld, Scene


TEST_SEED = 2025  # of the held-out scenes on which results are published; training draws from other seeds


class SceneRows:
    """Draw training example `i` of a coverage; its sources hide what the coverage says."""

    def __init__(self, world: EmojiWorld, coverage: Coverage, seed: int, length: int) -> None:
        self.world, self.coverage, self.seed, self.length = world, coverage, seed, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < self.length:
            raise IndexError(index)
        return self.world.training_example(index, self.coverage, self.seed)

    def column(self, name: str) -> list[Any]:
        if name in ("task", "language") and len(self.coverage.pairs) == 1:
            # What all rows have in common needs no drawing.
            return [dict(zip(("task", "language"), self.coverage.pairs[0], strict=True))[name]] * self.length
        return [row[name] for row in self._texts]

    def without_images(self) -> list[dict[str, Any]]:
        return [dict(row) for row in self._texts]

    @cached_property
    def _texts(self) -> list[dict[str, Any]]:
        # Several readers ask for all texts before the first step, and each draw takes its time.
        return [self.world.training_texts(index, self.coverage, self.seed) for index in range(self.length)]

    def contrasts(self) -> Rows | None:
        return None


class HeldOutScenes:
    """Ask about the first held-out scenes: for captions, translations, or the meaning of ambiguous words.

    Args:
        world: of the scenes.
        split: caption, detailed_caption, translate, translate_detailed or ambiguous.
        language: to write in.
        count: number of rows.
    """

    def __init__(self, world: EmojiWorld, split: str, language: str, count: int) -> None:
        self.world, self.split = world, split
        if split == "ambiguous":
            self.rows = self._ambiguous(language, count)
        else:
            self.rows = self._plain(split, language, count)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self.rows[index]
        return {**row, "image": self.world.render(row["scene"])}

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.rows]

    def without_images(self) -> list[dict[str, Any]]:
        return [dict(row) for row in self.rows]

    def contrasts(self) -> HeldOutScenes | None:
        return self if self.split == "ambiguous" else None

    def _plain(self, split: str, language: str, count: int) -> list[dict[str, Any]]:
        word: Callable[[Scene, str], str] = self.world.detailed_caption if "detailed" in split else self.world.caption
        translates = split.startswith("translate")
        rows = []
        for index in range(count):
            scene = self.world.scene("test", index, TEST_SEED)
            target = word(scene, language)
            rows.append(
                {
                    "task": "translate" if translates else split,
                    "language": language,
                    "source": word(scene, "en") if translates else None,
                    "target": target,
                    "references": [target],
                    "key": str(index),
                    "scene": scene,
                }
            )
        return rows

    def _ambiguous(self, language: str, count: int) -> list[dict[str, Any]]:
        items = self.world.ambiguous_texts(-(-count // 2), TEST_SEED, language)[:count]
        return [
            {
                **item,
                "task": "translate",
                "target": item["correct"],
                "references": [item["correct"]],
                "key": f"{number}/{item['key']}",
            }
            for number, item in enumerate(items)
        ]


def load_emoji_scenes(part: Part) -> Rows:
    """Load training examples of one task and language, or a split of held-out scenes.

    Raises:
        ValueError: training names no number of examples, or task and language do not fit.
    """
    world = EmojiWorld()
    if part.split == "train":
        coverage = Coverage(((part.task, part.language),), part.hiding, part.hidden_sources)
        return SceneRows(world, coverage, part.seed, part.examples)
    count = part.examples or DATASETS["emoji_scenes"].published(part.split, part.language)
    return HeldOutScenes(world, part.split, part.language, count)
