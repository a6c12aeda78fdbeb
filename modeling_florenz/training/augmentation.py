"""Change images a little while training: their edges, light and colours; never mirrored, as places are words."""

import random
from typing import Any

from PIL import Image, ImageEnhance
from torch.utils.data import Dataset

from ..processing_florenz import to_rgb


_MOST_CUT, _MOST_LIGHT = 0.2, 0.4  # of the sides, and of brightness, contrast and colour, at strength 1


class Augmented(Dataset):
    """Read draws with changed images: the same draw is changed in the same way in every run, worker and process.

    Args:
        draws: a `Mixture`; its rows have a `draw_seed`.
        strength: from 0, no change, to 1.

    Example:

    ```python
    >>> Augmented(mixture, 0.5)[0]["image"]  # doctest: +SKIP
    ```
    """

    def __init__(self, draws: Any, strength: float) -> None:
        self.draws, self.strength = draws, strength

    def __len__(self) -> int:
        return len(self.draws)

    def __getitem__(self, draw: int) -> dict[str, Any]:
        row = self.draws[draw]
        if "image" not in row:
            return row
        try:
            image = to_rgb(row["image"])
        except Exception:  # the collator names what is broken
            return row
        return {**row, "image": augment(image, self.strength, random.Random(f"augment/{row['draw_seed']}"))}


def augment(image: Image.Image, strength: float, rng: random.Random) -> Image.Image:
    """Cut off up to a fifth of each side's length, and change brightness, contrast and colour by up to 40 %.

    Args:
        image: RGB.
        strength: share of these limits.
        rng: the same state makes the same change.
    """
    sides = []
    for length in image.size:
        kept = max(1, round(length * (1 - _MOST_CUT * strength * rng.random())))
        sides.append((start := rng.randint(0, length - kept), start + kept))
    (left, right), (top, bottom) = sides
    image = image.crop((left, top, right, bottom))
    for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = change(image).enhance(1 + _MOST_LIGHT * strength * rng.uniform(-1, 1))
    return image
