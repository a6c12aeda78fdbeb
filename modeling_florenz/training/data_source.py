"""Name a part of the training or evaluation data in a recipe."""

import dataclasses
import os
from dataclasses import dataclass, field
from typing import Any

from ..data.choices import check_choice
from ..data.datasets import find_dataset
from ..processing_florenz import TASKS
from .recipe_values import nearest, typed


@dataclass
class DataSource:
    """Name a part of the training or evaluation data."""

    dataset: str  # one of data/datasets.py
    folder: str = ""  # below data_folder; empty for the dataset's own
    languages: list[str] = field(default_factory=lambda: ["en"])
    split: str = "train"
    task: str = "caption"  # of a dataset that has several, such as folder and emoji_scenes
    examples: int = 0  # at most so many a language, the first ones; 0 for all
    optional: bool = False  # leave it out, with a warning, where its folder is missing

    def __post_init__(self) -> None:
        dataset = find_dataset(self.dataset)
        if set(dataset.splits) == {"test"}:
            raise ValueError(f"{self.dataset} is for tests only: take another dataset, and florenz evaluate for this")
        check_choice("task", self.task, TASKS)
        if not isinstance(self.languages, list) or not self.languages:
            raise ValueError(f"languages of {self.dataset} must be a list of ISO 639-1 codes, not {self.languages!r}")
        if self.dataset == "folder" and len(self.languages) > 1:
            raise ValueError("a folder takes one language, that of the rows which name none; the others name theirs")
        if dataset.splits:
            published = [dataset.published(self.split, language) for language in self.languages]
        else:
            published = []
        if type(self.examples) is not int or self.examples < 0 or (0 in published and not self.examples):
            raise ValueError(f"examples of {self.dataset} must be a positive number, not {self.examples!r}")
        self.folder = os.path.expanduser(self.folder or dataset.folder)

    @property
    def only_task(self) -> str:
        """Return the task of the rows that do not name another."""
        tasks = find_dataset(self.dataset).tasks
        if self.dataset == "emoji_scenes" and self.split != "train":
            # Each held-out split asks for one thing.
            return "translate" if self.split in ("ambiguous", "translate", "translate_detailed") else self.split
        return tasks[0] if len(tasks) == 1 else self.task

    @property
    def names_own_tasks(self) -> bool:
        """Return whether the rows can name other tasks and languages than the recipe does."""
        return self.dataset == "folder"


def read_source(name: str, entry: Any) -> DataSource:
    """Read one entry of `train_data` or `eval_data`.

    Args:
        name: of the field, for errors.
        entry: a mapping, as the recipe has it.

    Raises:
        ValueError: it is not a mapping, a key is unknown, or a value is wrong.
    """
    if isinstance(entry, DataSource):
        return entry
    if not isinstance(entry, dict) or "dataset" not in entry:
        raise ValueError(f"{name} must be a list of mappings with a dataset each, not {entry!r}")
    known = [item.name for item in dataclasses.fields(DataSource)]
    for key in entry:
        if key not in known:
            raise ValueError(f"{name}: {entry['dataset']} has the unknown key {key!r}{nearest(key, known)}")
    entry = {**entry, "optional": typed(f"{name}: optional", entry.get("optional", False), bool)}
    return DataSource(**entry)
