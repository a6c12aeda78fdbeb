"""Read a folder of images without any text, for a model that teaches itself."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .images import folder_images, open_image


UNLABELLED = "unlabelled"  # takes the place of the task


class UnlabelledRows:
    """Read the images of a folder; their rows have no target.

    Args:
        paths: image files.
        language: ISO 639-1 code of the language that the images are to be captioned in.

    Example:

    ```python
    >>> UnlabelledRows([Path("photos/1.jpg")], "fr").column("key")
    ['1.jpg']
    ```
    """

    def __init__(self, paths: Sequence[Path], language: str) -> None:
        self.paths, self.language = list(paths), language

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return {**self._row(index), "image": open_image(self.paths[index])}

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.without_images()]

    def without_images(self) -> list[dict[str, Any]]:
        return [self._row(index) for index in range(len(self))]

    def image_digest(self, index: int) -> str:
        return hashlib.sha256(self.paths[index].read_bytes()).hexdigest()

    def contrasts(self) -> None:
        return None

    def _row(self, index: int) -> dict[str, Any]:
        return {
            "task": UNLABELLED,
            "language": self.language,
            "source": None,
            "target": "",
            "references": [],
            "key": self.paths[index].name,
        }


def load_unlabelled(folder: str | Path, language: str, examples: int = 0) -> UnlabelledRows:
    """Load the images of a folder, at most `examples` of them, by name; all for 0.

    Raises:
        ValueError: the folder holds no image, or the language is English, in which the captions are written first.
    """
    if language == "en":
        raise ValueError("unlabelled images are captioned by way of English: give other languages than en")
    paths = folder_images(Path(folder))
    return UnlabelledRows(paths[:examples] if examples else paths, language)
