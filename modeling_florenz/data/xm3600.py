"""Load Crossmodal-3600 (Thapliyal et al. 2022, arXiv 2205.12522) from its published files."""

from collections.abc import Iterator
from pathlib import Path

from datasets import Dataset

from .columns import Row, build_dataset, warn_if_incomplete
from .datasets import DATASETS
from .files import field, find_image, image_folders, read_json_lines


def load_xm3600(folder: str | Path, language: str, stand_in: bool = False) -> Dataset:
    """Load the captions of one language, for tests only: one row per image with all its references, about two.

    Args:
        folder: holds `captions.jsonl` (from `captions.zip`), and `images` with `<image/key>.jpg` (from `images.tgz`).
        language: any of the 34 with an ISO 639-1 code; Chinese is zh, Norwegian no.
        stand_in: show a grey picture where an image is missing.

    Raises:
        ValueError: the file is missing, a line lacks a field or a caption, or an image is missing.

    Example:

    ```python
    >>> load_xm3600("xm3600", "es").num_rows  # doctest: +SKIP
    3600
    ```
    """
    published = DATASETS["xm3600"].published("test", language)
    path = Path(folder) / "captions.jsonl"
    records = list(read_json_lines(path))
    warn_if_incomplete(path, len(records), published)
    folders = image_folders(Path(folder) / "images")

    def rows() -> Iterator[Row]:
        for where, record in records:
            name = field(record, "image/key", str, where)
            captions = field(field(record, language, dict, where), "caption", list, where)
            if not all(isinstance(caption, str) for caption in captions):
                raise ValueError(f"{where} has a caption in {language} that is not a text: download the file again")
            captions = [caption.strip() for caption in captions]
            image = find_image(folders, f"{name}.jpg", where)
            yield Row(image, "caption", language, captions, f"xm3600/{language}/{name}", where)

    return build_dataset(rows(), path, stand_in)
