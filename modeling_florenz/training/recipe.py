"""Read a training recipe: one YAML file whose keys are the fields of two dataclasses."""

import dataclasses
import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import torch
from transformers import Seq2SeqTrainingArguments

from ..data.choices import check_choice
from ..data.datasets import find_dataset
from ..data.hiding import Hiding
from ..data.unlabelled import UNLABELLED
from ..processing_florenz import TASKS
from ..yaml_files import parse_yaml, read_yaml
from .adapters import LORA_PARTS


RECIPES = Path(__file__).parent / "recipes"
_FLAGS = {
    "yes": True,
    "on": True,
    "no": False,
    "off": False,
}
METHODS = ("lora", "qlora", "full", "paper")


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
        return tasks[0] if len(tasks) == 1 else self.task


@dataclass
class RecipeArguments:
    """Say what is adapted, to which data and how; everything about steps and devices is Trainer's."""

    model: str = "florenz-tiny"  # folder or Hub repository; florenz-tiny is the bundled checkpoint
    revision: str | None = None  # branch, tag or commit of the repository
    base_id: str | None = None  # what an adapter names as its base, where that is not `model` itself
    method: str = "lora"  # lora, qlora (base in 4 bits), full, or paper (its freezing)
    lora_parts: str = "decoder"  # cross_attention, decoder, encoder+decoder, all-linear
    lora_rank: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.0
    use_dora: bool = False
    use_rslora: bool = False
    train_embedding_rows: bool = False  # also train the rows of the tokens that the targets use
    license: str | None = None  # the Hub's identifier for the card; default: the base model's
    merge: bool = False  # at the end also write a plain model with the adapter merged in
    train_data: list[DataSource] = field(default_factory=list)
    eval_data: list[DataSource] = field(default_factory=list)
    data_folder: str = "data"  # what the folders of the data are relative to
    stand_in: bool = False  # grey pictures where images are missing, for trial runs on text alone
    shares: str | dict[str, float] = "rows"  # a scheme of the paper, rows, or weights by task/language
    hiding: str = "none"  # none, independent, partial or whole: what a translation's source leaves to the image
    grounding: float = 0.0  # probability of hiding: of a content word, for whole of all content words at once
    hiding_languages: list[str] = field(default_factory=list)  # target languages whose sources hide words; empty: all
    hidden_things: list[str] = field(default_factory=list)  # the only words, or emoji nouns, to hide; empty: all
    hidden_sources: float = 0.0  # probability that a source becomes "something"; not beside partial or whole
    new_languages: dict[str, str] = field(default_factory=dict)  # ISO 639-1 code: English name, for the prompt
    new_prefixes: dict[str, str] = field(default_factory=dict)  # ISO 639-1 code: first words of a caption
    rehearsal: float = 0.0  # share of draws in which the base model's own output in its languages is the target
    self_taught_keep: float = 0.8  # share of the captions of unlabelled images to learn from, the likeliest ones
    rehearsal_examples: int = 1000  # how many such outputs are made before the first step
    image_size: int | None = None  # side of the input square in px, instead of the model's
    max_prompt_length: int | None = None  # tokens, instead of the processor's
    max_target_length: int | None = None
    vision_train_mode: bool = (
        False  # drop path in the frozen tower, as the research code has; off: same image, same tokens
    )
    cache_image_features: bool = False  # keep the frozen tower's output of each image in output_dir
    loss_chunk_size: int = 128  # target tokens whose logits exist at a time; 0 for all at once
    early_stopping_patience: int = 0  # evaluations without a better metric_for_best_model; 0 never stops

    def __post_init__(self) -> None:
        # No shell has seen what comes from YAML.
        self.model, self.data_folder = os.path.expanduser(self.model), os.path.expanduser(self.data_folder)
        check_choice("method", self.method, METHODS)
        check_choice("lora_parts", self.lora_parts, LORA_PARTS)
        for name in ("hidden_sources", "rehearsal", "lora_dropout"):
            share = getattr(self, name)
            if not 0 <= share <= 1 or (name in ("rehearsal", "lora_dropout") and share == 1):
                raise ValueError(f"{name} must be a share from 0 to 1, not {share!r}")
        if not 0 < self.self_taught_keep <= 1:
            raise ValueError(f"self_taught_keep must be a share above 0 and up to 1, not {self.self_taught_keep!r}")
        for name in ("lora_rank", "lora_alpha", "rehearsal_examples"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)!r}")
        for name in ("loss_chunk_size", "early_stopping_patience"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)!r}")
        for name in ("train_data", "eval_data"):
            setattr(self, name, [_source(name, entry) for entry in getattr(self, name)])
        if any(source.dataset == UNLABELLED for source in self.eval_data):
            raise ValueError(
                "eval_data names unlabelled, which has no text to compare with: name it in train_data only"
            )
        if not self.train_data:
            raise ValueError("train_data is empty: name at least one dataset")
        self._check_hiding()
        if self.cache_image_features and (
            self.vision_train_mode or self.method == "full" or self.lora_parts == "all-linear"
        ):
            raise ValueError(
                "cache_image_features needs image tokens that never change: no vision_train_mode, full or all-linear"
            )
        if self.merge and self.method not in ("lora", "qlora"):
            raise ValueError(f"merge is for adapters, not for the method {self.method}")

    @property
    def source_hiding(self) -> Hiding:
        """Return what the sources of translations hide."""
        return Hiding(self.hiding, self.grounding, tuple(self.hiding_languages), tuple(self.hidden_things))

    def _check_hiding(self) -> None:
        if self.hidden_sources and self.source_hiding.mode in ("partial", "whole"):
            raise ValueError(
                f"hidden_sources is {self.hidden_sources!r} beside hiding {self.hiding}: use hiding independent "
                "or leave hidden_sources out"
            )
        if not self.hiding_languages:
            return
        if any(source.dataset == "folder" for source in self.train_data):
            return  # a folder's rows name their own tasks and languages
        translated = {
            language for source in self.train_data if source.only_task == "translate" for language in source.languages
        }
        self.source_hiding.check_languages(sorted(translated))


@dataclass
class FlorenzTrainingArguments(Seq2SeqTrainingArguments):
    """Trainer's own arguments, with defaults that fit Florenz; see the documentation of transformers."""

    max_steps: int = 1000
    per_device_train_batch_size: int = 8
    learning_rate: float = 1e-4
    lr_scheduler_type: str = "cosine"
    warmup_steps: float = 100
    logging_steps: float = 10
    save_steps: float = 250
    save_total_limit: int | None = 2
    report_to: str | list[str] | None = "none"
    remove_unused_columns: bool = False  # rows become tensors in the collator
    prediction_loss_only: bool = True
    train_sampling_strategy: str = "sequential"  # the mixture itself is the order
    use_cpu: bool = field(default_factory=lambda: not torch.cuda.is_available())

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            if isinstance(value := getattr(self, entry.name, None), str) and value.startswith("~"):
                setattr(self, entry.name, os.path.expanduser(value))
        if self.max_steps < 1:
            raise ValueError(f"max_steps must be at least 1, not {self.max_steps!r}: recipes are as long as they say")
        if self.train_sampling_strategy != "sequential" or self.remove_unused_columns:
            raise ValueError("train_sampling_strategy must stay sequential and remove_unused_columns false")
        super().__post_init__()


@dataclass(frozen=True)
class Recipe:
    """Hold what a recipe says: the values as given, Florenz's arguments and Trainer's."""

    values: dict[str, Any]
    arguments: RecipeArguments
    training: FlorenzTrainingArguments

    @property
    def output(self) -> Path:
        """Return the folder of the run."""
        return Path(str(self.training.output_dir))


def recipe_path(name: str) -> Path:
    """Find a recipe of the package by its name, or a file by its path.

    Raises:
        ValueError: there is neither.
    """
    packaged = RECIPES / f"{name}.yaml"
    path = packaged if packaged.is_file() else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in RECIPES.glob("*.yaml")))
        raise ValueError(f"{name} is neither a file nor one of the recipes {known}")
    return path


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read a recipe and put `key=value` overrides, whose values are YAML, in the place of its own.

    Raises:
        ValueError: a key is unknown (the nearest valid one is named), or something is not YAML.
    """
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise ValueError(f"{path} is not a recipe: it must be a YAML mapping of fields to values")
    known = _annotations()
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise ValueError(f"--set {override}: write it as key=value")
        values[key.strip()] = parse_yaml(value, f"--set {override}")
    for key, value in values.items():
        if key not in known:
            raise ValueError(f"{path} has the unknown key {key!r}{_nearest(key, known)}")
        values[key] = _typed(key, value, known[key])
    return values


def parse_recipe(values: dict[str, Any]) -> Recipe:
    """Build a recipe from its values, as `read_recipe` returns them.

    Raises:
        ValueError: a value is out of range.
    """
    own = {entry.name for entry in dataclasses.fields(RecipeArguments)}
    arguments = RecipeArguments(**{key: value for key, value in values.items() if key in own})
    try:
        training = FlorenzTrainingArguments(**{key: value for key, value in values.items() if key not in own})
    except (TypeError, ImportError, RuntimeError) as error:
        raise ValueError(f"the recipe does not fit Trainer: {error}") from None
    return Recipe(values, arguments, training)


def _nearest(key: str, known: Any) -> str:
    matches = difflib.get_close_matches(str(key), list(known), n=1)
    return f": did you mean {matches[0]}?" if matches else ": see florenz train --help"


def _typed(key: str, value: Any, annotation: Any) -> Any:
    """Bring a value to its field's type: 1 is a rate too, and `yes` a flag where a flag is meant."""
    kinds = _kinds(annotation)
    if bool in kinds and str not in kinds and isinstance(value, str):
        value = _FLAGS.get(value.lower(), value)
    fits = isinstance(value, (*kinds, int) if float in kinds else kinds)
    if not fits or (isinstance(value, bool) and bool not in kinds):
        names = " or ".join(dict.fromkeys(kind.__name__ for kind in kinds if kind is not NoneType))
        raise ValueError(f"{key} must be of type {names}, not {value!r}")
    return value


@cache
def _annotations() -> dict[str, Any]:
    classes = (FlorenzTrainingArguments, RecipeArguments)
    hints = {name: hint for kind in classes for name, hint in get_type_hints(kind).items()}
    return {entry.name: hints[entry.name] for kind in classes for entry in dataclasses.fields(kind) if entry.init}


def _kinds(annotation: Any) -> tuple[type, ...]:
    """Return the classes of an annotation, `dict` for `dict[str, float]`."""
    if get_origin(annotation) is Literal:
        return tuple(type(value) for value in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return tuple(kind for part in get_args(annotation) for kind in _kinds(part))
    return (get_origin(annotation) or annotation,)


def _source(name: str, entry: Any) -> DataSource:
    if isinstance(entry, DataSource):
        return entry
    if not isinstance(entry, dict) or "dataset" not in entry:
        raise ValueError(f"{name} must be a list of mappings with a dataset each, not {entry!r}")
    known = [item.name for item in dataclasses.fields(DataSource)]
    for key in entry:
        if key not in known:
            raise ValueError(f"{name}: {entry['dataset']} has the unknown key {key!r}{_nearest(key, known)}")
    entry = {**entry, "optional": _typed(f"{name}: optional", entry.get("optional", False), bool)}
    return DataSource(**entry)
