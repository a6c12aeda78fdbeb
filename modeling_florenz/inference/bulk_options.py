"""What is written about many images, and how many are opened at a time."""

import os
from dataclasses import dataclass, field


def default_workers() -> int:
    """Return the threads that read images: all cores but one, which the model needs."""
    return max(1, (os.cpu_count() or 2) - 1)


@dataclass(frozen=True)
class BulkOptions:
    """Say what is written about every image, and how many are opened at a time.

    Args:
        tasks, languages: each task is written in each language.
        prefix, via, num_beams: see `Captioner.caption`.
        batch_size: images in a block, which goes through the vision tower and the search together.
        workers: threads that read and stretch images ahead of the model.
        fast_decode: decode large JPEGs at a smaller scale, with slightly other pixels; see `open_image`.
    """

    tasks: tuple[str, ...] = ("caption",)
    languages: tuple[str, ...] = ("en",)
    prefix: bool | str = False
    via: str | None = None
    num_beams: int = 4
    batch_size: int = 8
    workers: int = field(default_factory=default_workers)
    fast_decode: bool = False
