"""Name a part of the training or evaluation data in a recipe."""

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub.utils import validate_repo_id

from ..data.choices import check_choice
from ..data.dataset_info import HubPlace
from ..data.datasets import find_dataset
from ..processing_florenz import TASKS
from .recipe_values import nearest, typed


HUB_COLUMNS = ("image", "target", "references", "language", "task", "source", "incorrect")
_OF_HUB = ("repo", "revision", "config", "columns", "streaming")


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
    repo: str = ""  # of `hub`: owner/name of a dataset on the Hub, instead of a folder
    revision: str | None = None  # of the repository: branch, tag or commit
    config: str = ""  # of the dataset's card, where it lists several
    columns: dict[str, str] = field(default_factory=dict)  # of `hub`: the dataset's column for each of ours
    streaming: bool = False  # of `hub`: read files part by part from the Hub, without a copy on this machine

    def __post_init__(self) -> None:
        dataset = find_dataset(self.dataset)
        if set(dataset.splits) == {"test"}:
            raise ValueError(f"{self.dataset} is for tests only: take another dataset, and florenz evaluate for this")
        check_choice("task", self.task, TASKS)
        if not isinstance(self.languages, list) or not self.languages:
            raise ValueError(f"languages of {self.dataset} must be a list of ISO 639-1 codes, not {self.languages!r}")
        self._check_hub()
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
        return self.dataset == "folder" or "task" in self.columns

    @property
    def hub(self) -> HubPlace:
        """Return where a dataset in the Hub's formats is."""
        return HubPlace(self.repo, self.revision, self.config, self.columns, self.streaming)

    @property
    def place(self) -> str:
        """Return what tells the dataset from others of its kind, without folders of this machine."""
        return self.repo or Path(self.folder).name

    def _check_hub(self) -> None:
        if self.dataset != "hub":
            if named := [name for name in _OF_HUB if getattr(self, name)]:
                raise ValueError(f"{named[0]} is for the dataset hub, not for {self.dataset}: leave it out")
            return
        if bool(self.repo) == bool(self.folder):
            raise ValueError(f"hub needs either a repo or a folder, not {self.repo!r} and {self.folder!r}")
        if self.repo:
            try:
                validate_repo_id(self.repo)
            except ValueError as error:
                raise ValueError(f"repo of hub must be owner/name: {error}") from None
        elif self.revision or self.streaming:
            raise ValueError("revision and streaming of hub are for a repo, and a folder is named: leave them out")
        if not isinstance(self.columns, dict) or not all(isinstance(name, str) for name in self.columns.values()):
            raise ValueError(f"columns of hub must map our names to the dataset's, not {self.columns!r}")
        for name in self.columns:
            check_choice("columns of hub", name, HUB_COLUMNS)
        if len(self.languages) > 1 and "language" not in self.columns:
            raise ValueError("several languages of hub need the column that tells them: columns: {language: NAME}")


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
    for key in ("optional", "streaming"):
        entry = {**entry, key: typed(f"{name}: {key}", entry.get(key, False), bool)}
    return DataSource(**entry)
