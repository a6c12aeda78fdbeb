"""Load DOCCI (Onoe et al. 2024, arXiv 2404.19753) from its published files."""

from collections.abc import Iterator
from pathlib import Path

from datasets import Dataset

from .columns import Row, build_dataset, warn_if_incomplete
from .datasets import DATASETS
from .files import field, find_image, read_json_lines


def load_docci(folder: str | Path, split: str, stand_in: bool = False) -> Dataset:
    """Load long English descriptions, one per image, as the task more_detailed_caption.

    Args:
        folder: holds `docci_descriptions.jsonlines` and `images` (from `docci_images.tar.gz`).
        split: train, test, qual_dev or qual_test.
        stand_in: show a grey picture where an image is missing.

    Raises:
        ValueError: the file is missing, a line lacks a field, or an image is missing.

    Example:

    ```python
    >>> load_docci("docci", "train")[0]["key"]  # doctest: +SKIP
    'docci/train_00000'
    ```
    """
    published = DATASETS["docci"].published(split, "en")
    path = Path(folder) / "docci_descriptions.jsonlines"
    records = [pair for pair in read_json_lines(path) if field(pair[1], "split", str, pair[0]) == split]
    warn_if_incomplete(path, len(records), published)

    def rows() -> Iterator[Row]:
        for where, record in records:
            image = find_image([Path(folder) / "images"], field(record, "image_file", str, where), where)
            text = " ".join(field(record, "description", str, where).split())
            key = f"docci/{field(record, 'example_id', str, where)}"
            yield Row(image, "more_detailed_caption", "en", [text], key, where)

    return build_dataset(rows(), path, stand_in)
