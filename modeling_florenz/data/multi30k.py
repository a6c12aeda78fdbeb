"""Load Multi30K (Elliott et al. 2016, arXiv 1605.00459) from a copy of github.com/multi30k/dataset.

The repository has no images. They go into `images` in the same folder, or into folders within it: those of Flickr30k,
of the two later Flickr test sets and, for `test_2017_mscoco`, COCO's `train2014` and `val2014`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from datasets import Dataset

from .columns import Row, build_dataset, caption_rows, warn_if_incomplete
from .datasets import DATASETS
from .files import find_image, image_folders, read_lines, read_parallel


def load_multi30k_translation(folder: str | Path, split: str, language: str, stand_in: bool = False) -> Dataset:
    """Load task 1, English sentences with their translations: one row per sentence.

    Args:
        folder: copy of the repository, with `data/task1/raw` and `data/task1/image_splits`; files plain or as `.gz`.
        split: train, val, test_2016_flickr, test_2017_flickr, test_2018_flickr or test_2017_mscoco (AmbiguousCOCO).
        language: de or fr.
        stand_in: show a grey picture where an image is missing.

    Raises:
        ValueError: a file is missing, files differ in length, a line is empty, or an image is missing.

    Example:

    ```python
    >>> load_multi30k_translation("multi30k", "test_2016_flickr", "de")[0]["key"]  # doctest: +SKIP
    'multi30k-translation/test_2016_flickr/de/1007129816.jpg'
    ```
    """
    published = DATASETS["multi30k_translation"].published(split, language)
    raw = Path(folder) / "data" / "task1" / "raw"
    texts, names = raw / f"{split}.{language}", _image_list(folder, split)
    lines = read_parallel([texts, raw / f"{split}.en", names])
    warn_if_incomplete(texts, len(lines), published)
    folders = image_folders(Path(folder) / "images")

    def rows() -> Iterator[Row]:
        for number, (target, source, name) in enumerate(lines, start=1):
            where = f"{texts} line {number}"
            # In AmbiguousCOCO, the number of a caption follows the name.
            name = name.strip().partition("#")[0]
            key = f"multi30k-translation/{split}/{language}/{name}"
            image = find_image(folders, name, where)
            yield Row(image, "translate", language, [_clean(target)], key, where, source=_clean(source))

    return build_dataset(rows(), texts, stand_in)


def load_multi30k_captions(folder: str | Path, split: str, language: str, stand_in: bool = False) -> Dataset:
    """Load task 2, five descriptions per image in each language: one row per image, or in train one per caption.

    Args:
        folder: copy of the repository, with `data/task2/raw` and `data/task2/image_splits`; files plain or as `.gz`.
        split: train, val or test_2016.
        language: en or de.
        stand_in: show a grey picture where an image is missing.

    Raises:
        ValueError: a file is missing, files differ in length, a line is empty, or an image is missing.

    Example:

    ```python
    >>> len(load_multi30k_captions("multi30k", "test_2016", "de")[0]["references"])  # doctest: +SKIP
    5
    ```
    """
    published = DATASETS["multi30k_captions"].published(split, language)
    task = Path(folder) / "data" / "task2"
    names = task / "image_splits" / f"{split}_images.txt"
    lines = read_parallel([names, *(task / "raw" / f"{split}.{number}.{language}" for number in range(1, 6))])
    warn_if_incomplete(names, len(lines), published)
    folders = image_folders(Path(folder) / "images")

    def rows() -> Iterator[Row]:
        for number, (name, *captions) in enumerate(lines, start=1):
            where, name = f"{names} line {number}", name.strip()
            key = f"multi30k-captions/{split}/{language}/{name}"
            image = find_image(folders, name, where)
            row = Row(image, "caption", language, [_clean(caption) for caption in captions], key, where)
            yield from caption_rows(row, training=split == "train")

    return build_dataset(rows(), names, stand_in)


def ambiguous_coco_ids(folder: str | Path) -> frozenset[int]:
    """Return the COCO ids of the images in AmbiguousCOCO (`test_2017_mscoco`), on which nothing may be trained.

    Raises:
        ValueError: the image list is missing, or one of its lines names no COCO image.

    Example:

    ```python
    >>> load_coco_karpathy("coco", "train", exclude=ambiguous_coco_ids("multi30k"))  # doctest: +SKIP
    ```
    """
    path = _image_list(folder, "test_2017_mscoco")
    ids = set()
    for number, line in enumerate(read_lines(path), start=1):
        match = re.match(r"COCO_(?:train|val)2014_(\d{12})\.jpg(?:#|\s*$)", line)
        if match is None:
            raise ValueError(f"{path} line {number} names no COCO image, but {line!r:.60}: download the file again")
        ids.add(int(match[1]))
    warn_if_incomplete(path, len(ids), DATASETS["multi30k_translation"].published("test_2017_mscoco", "de"))
    return frozenset(ids)


def _image_list(folder: str | Path, split: str) -> Path:
    return Path(folder) / "data" / "task1" / "image_splits" / f"{split}.txt"


def _clean(text: str) -> str:
    """Strip a line, and replace the no-break spaces of the German training text."""
    return text.replace("\xa0", " ").strip()
