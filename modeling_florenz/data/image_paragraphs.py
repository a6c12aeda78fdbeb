"""Load the Stanford image paragraphs (Krause et al. 2017, arXiv 1611.06607) from their published files."""

import re
from collections.abc import Iterator
from pathlib import Path

from datasets import Dataset

from .columns import Row, build_dataset, warn_if_incomplete
from .datasets import DATASETS
from .files import field, find_image, read_json


def load_image_paragraphs(folder: str | Path, split: str, stand_in: bool = False) -> Dataset:
    """Load English paragraphs, one per image, as the task detailed_caption.

    A few images are in the file twice; the first paragraph is kept.

    Args:
        folder: holds `paragraphs_v1.json`, `train_split.json`, `val_split.json` and `test_split.json`, and Visual
            Genome's `VG_100K` and `VG_100K_2`.
        split: train, val or test.
        stand_in: show a grey picture where an image is missing.

    Raises:
        ValueError: a file is missing, an entry lacks a field, an image of the split has no paragraph, or an image is
            missing.

    Example:

    ```python
    >>> load_image_paragraphs("paragraphs", "val").num_rows  # doctest: +SKIP
    2487
    ```
    """
    published = DATASETS["image_paragraphs"].published(split, "en")
    path, ids_path = Path(folder) / "paragraphs_v1.json", Path(folder) / f"{split}_split.json"
    ids = read_json(ids_path)
    if not isinstance(ids, list) or not all(isinstance(number, int) for number in ids):
        raise ValueError(f"{ids_path} is not a list of image numbers: download the file again")
    warn_if_incomplete(ids_path, len(ids), published)
    entries = read_json(path)
    if not isinstance(entries, list):
        raise ValueError(f"{path} is not a list of paragraphs: download the file again")
    paragraphs: dict[int, tuple[str, dict]] = {}
    for position, entry in enumerate(entries, start=1):
        where = f"{path} entry {position}"
        paragraphs.setdefault(field(entry, "image_id", int, where), (where, entry))

    def rows() -> Iterator[Row]:
        for number in ids:
            if number not in paragraphs:
                raise ValueError(f"{ids_path} names the image {number}, which {path} lacks: download both again")
            where, entry = paragraphs[number]
            url = field(entry, "url", str, where)
            # The address says in which half of Visual Genome the image is; it is never opened.
            match = re.search(r"(?:^|/)(VG_100K(?:_2)?/\d+\.jpg)$", url)
            if match is None:
                raise ValueError(
                    f"{where}: the url {url!r:.80} does not end like VG_100K/1.jpg: download the file again"
                )
            text = " ".join(field(entry, "paragraph", str, where).split())
            image = find_image([Path(folder)], match[1], where)
            yield Row(image, "detailed_caption", "en", [text], f"image-paragraphs/{number}", where)

    return build_dataset(rows(), ids_path, stand_in)
