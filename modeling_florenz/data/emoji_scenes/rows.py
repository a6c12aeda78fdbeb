"""Read emoji scenes as rows, drawn when they are asked for."""

from typing import Any

from ..rows import Rows
from .world import Coverage, EmojiWorld


class SceneRows:
    """Draw training example `i` of a coverage, whose sources know what they hide."""

    def __init__(self, world: EmojiWorld, coverage: Coverage, seed: int, length: int) -> None:
        self.world, self.coverage, self.seed, self.length = world, coverage, seed, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < self.length:
            raise IndexError(index)
        return self.world.training_example(index, self.coverage, self.seed)

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.without_images()]

    def without_images(self) -> list[dict[str, Any]]:
        return [self.world.training_texts(index, self.coverage, self.seed) for index in range(self.length)]

    def contrasts(self) -> Rows | None:
        return None
