"""Know what the evaluation sets hold, by the package's own loaders: none of it may be trained on."""

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from ..data.dataset_info import DatasetInfo, Part
from ..data.datasets import DATASETS
from ..data.images import open_image
from ..data.rows import Rows, TableRows
from .near_images import NearImages, cropped_signatures
from .near_texts import NearTexts


@dataclass
class EvaluationSets:
    """Hold texts and images of all evaluation sets whose folders are there; each is read when it is first asked for.

    Args:
        folder: of all data.
        skip: names of sets to leave out.
        scenes: held-out emoji scenes that are looked at.
    """

    folder: str
    skip: list[str] = field(default_factory=list)
    scenes: int = 1000

    def __post_init__(self) -> None:
        for name in self.skip:
            if name not in DATASETS:
                raise ValueError(f"decontaminate.skip: there is no dataset {name!r}, only {', '.join(DATASETS)}")

    def __getstate__(self) -> dict[str, Any]:
        # Other processes read what they need themselves: an index of faiss cannot be sent.
        return {name: value for name, value in vars(self).items() if name not in ("texts", "images")}

    def settings(self) -> dict[str, Any]:
        """Return the sets that are compared, for the record; not where they are."""
        return {"found": self.found, "scenes": self.scenes}

    @cached_property
    def found(self) -> list[str]:
        """Return the names of the sets that are there."""
        return [info.name for info in self._wanted() if info.sample_writer is None or self._place(info).is_dir()]

    @cached_property
    def missing(self) -> list[str]:
        """Return the names of the sets whose folders are not there."""
        return [info.name for info in self._wanted() if info.name not in self.found]

    @cached_property
    def texts(self) -> NearTexts:
        """Return what the sets say.

        Raises:
            ValueError: a set is there and cannot be read.
        """
        return NearTexts(
            (text, name)
            for name, rows in self._parts()
            for row in rows.without_images()
            for text in (row["source"], *row["references"], row.get("incorrect"))
            if text
        )

    @cached_property
    def images(self) -> NearImages:
        """Return what the sets show, each image whole and cropped."""
        near, seen = NearImages(), set()
        for name, rows in self._parts():
            for key, image in _images(rows):
                if (name, key) not in seen:
                    seen.add((name, key))
                    near.add([(*entry, name) for entry in cropped_signatures(image)])
        return near

    def _wanted(self) -> list[DatasetInfo]:
        return [info for info in DATASETS.values() if set(info.splits) - {"train"} and info.name not in self.skip]

    def _place(self, info: DatasetInfo) -> Path:
        return Path(os.path.expanduser(self.folder)) / info.folder

    def _parts(self) -> Iterator[tuple[str, Rows]]:
        for name in self.found:
            info = DATASETS[name]
            for split, languages in info.splits.items():
                if split == "train":
                    continue
                for language in languages:
                    scenes = self.scenes if info.sample_writer is None else 0
                    part = Part(split, language, self._place(info), info.tasks[0], scenes, stand_in=True)
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        try:
                            yield name, info.load(part)
                        except ValueError:
                            if self._is_there(info, split, language):
                                raise

    def _is_there(self, info: DatasetInfo, split: str, language: str) -> bool:
        # A copy of a set may have some of its splits and languages.
        return any(
            split in path.name and (path.suffixes[:1] == [f".{language}"] or info.languages == ("en",))
            for path in self._place(info).rglob("*")
        )


def _images(rows: Rows) -> Iterator[tuple[str, Image.Image]]:
    if not isinstance(rows, TableRows):
        for index, row in enumerate(rows.without_images()):
            yield str(row["scene"]), rows[index]["image"]
        return
    table = rows.table.with_format("arrow")
    for index in range(len(rows)):
        stored = table[index]["image"][0].as_py()
        if stored["path"] is None:  # a stand-in
            continue
        try:
            yield stored["path"], open_image(stored["path"])
        except ValueError as error:
            warnings.warn(f"{error}; it is not compared", stacklevel=2)
