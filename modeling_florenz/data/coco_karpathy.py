"""Load COCO captions in Karpathy's splits (arXiv 1412.2306) from `dataset_coco.json` and the images of 2014."""

from collections.abc import Collection, Iterator
from pathlib import Path

from datasets import Dataset

from .columns import Row, build_dataset, caption_rows, warn_if_incomplete
from .datasets import DATASETS
from .files import field, find_image, read_json


def load_coco_karpathy(
    folder: str | Path, split: str, exclude: Collection[int] = (), stand_in: bool = False
) -> Dataset:
    """Load English captions, about five per image: one row per image, or in train one row per caption.

    Args:
        folder: holds `dataset_coco.json` (from `caption_datasets.zip`), `train2014` and `val2014`.
        split: train, val or test.
        exclude: COCO ids of images to leave out. Training that is later evaluated on Multi30K must leave out
            [`~modeling_florenz.data.multi30k.ambiguous_coco_ids`].
        stand_in: show a grey picture where an image is missing.

    Raises:
        ValueError: the file is missing, an entry lacks a field, an id to leave out is not a number, or an image is
            missing.

    Example:

    ```python
    >>> load_coco_karpathy("coco", "train", exclude=ambiguous_coco_ids("multi30k"))  # doctest: +SKIP
    ```
    """
    published = DATASETS["coco_karpathy"].published(split, "en")
    excluded = frozenset(exclude)
    # Names instead of ids would leave out nothing without anyone noticing.
    if wrong := [value for value in excluded if not isinstance(value, int)]:
        raise ValueError(f"exclude holds {wrong[0]!r}: give ids of COCO images as whole numbers")
    path = Path(folder) / "dataset_coco.json"
    images = field(read_json(path), "images", list, str(path))
    entries = [(f"{path} image {number}", image) for number, image in enumerate(images, start=1)]
    kept = ("train", "restval") if split == "train" else (split,)
    entries = [(where, image) for where, image in entries if field(image, "split", str, where) in kept]
    warn_if_incomplete(path, len(entries), published)

    def rows() -> Iterator[Row]:
        for where, entry in entries:
            number = field(entry, "cocoid", int, where)
            if number in excluded:
                continue
            name = f"{field(entry, 'filepath', str, where)}/{field(entry, 'filename', str, where)}"
            # Some captions run over several lines.
            captions = [
                " ".join(field(sentence, "raw", str, where).split())
                for sentence in field(entry, "sentences", list, where)
            ]
            row = Row(find_image([Path(folder)], name, where), "caption", "en", captions, f"coco/{number}", where)
            yield from caption_rows(row, training=split == "train")

    return build_dataset(rows(), path, stand_in)
