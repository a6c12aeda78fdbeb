"""Load CoMMuTE (Futeral et al. 2023, arXiv 2212.10140) from a copy of github.com/MatthieuFP/CoMMuTE."""

from collections.abc import Iterator
from pathlib import Path

from datasets import Dataset

from .columns import Row, build_dataset, warn_if_incomplete
from .datasets import DATASETS
from .files import find_image, image_folders, read_parallel


def load_commute(folder: str | Path, language: str, split: str = "test", stand_in: bool = False) -> Dataset:
    """Load ambiguous English sentences with the right and, as `incorrect`, the wrong translation for the image.

    Texts are not changed, not even the spaces around them, as for the published accuracies.

    Args:
        folder: copy of the repository, with `en-<language>` (`en-fr_dev` for dev), and the images in `images`
            (`images_dev` for dev) or in folders within it.
        language: de, fr, ru or zh; dev has fr only.
        split: test or dev.
        stand_in: show a grey picture where an image is missing.

    Raises:
        ValueError: a file is missing, files differ in length, a line is empty, or an image is missing.

    Example:

    ```python
    >>> load_commute("CoMMuTE", "de")[0]["incorrect"]  # doctest: +SKIP
    ```
    """
    published = DATASETS["commute"].published(split, language)
    ending = "" if split == "test" else f"_{split}"
    texts = Path(folder) / f"en-{language}{ending}"
    correct = texts / f"correct.{language}"
    lines = read_parallel([correct, texts / f"incorrect.{language}", texts / "src.en", texts / "img.order"])
    warn_if_incomplete(correct, len(lines), published)
    folders = image_folders(Path(folder) / f"images{ending}")

    def rows() -> Iterator[Row]:
        for number, (right, wrong, source, name) in enumerate(lines, start=1):
            where, name = f"{correct} line {number}", name.strip()
            image = find_image(folders, name, where)
            key = f"commute/{split}/{language}/{name}"
            yield Row(image, "translate", language, [right], key, where, source=source, incorrect=wrong)

    return build_dataset(rows(), correct, stand_in)
