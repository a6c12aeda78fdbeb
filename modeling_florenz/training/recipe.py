"""The fields of a recipe beside those of Trainer, and a recipe as a whole."""

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..data.choices import check_choice
from ..data.hiding import Hiding
from ..data.unlabelled import UNLABELLED
from .adapters import LORA_PARTS
from .data_source import DataSource, read_source
from .trainer_arguments import FlorenzTrainingArguments
from .trainer_checks import check_fixed, check_trainer


METHODS = ("lora", "qlora", "full", "paper")


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
    preference: float = 0.0  # beta of DPO: learn to prefer targets to incorrect ones; 0 learns the targets
    teacher: str | None = None  # folder or Hub repository of a Florenz with the same vocabularies, to learn from
    teacher_revision: str | None = None  # branch, tag or commit of its repository
    distillation: float = 0.5  # share of the loss that is the teacher's; the rest is that of the targets
    distillation_temperature: float = 1.0  # above 1, more is learned from what the teacher finds unlikely
    augmentation: float = 0.0  # strength of random changes of the images, up to 1; 0 changes none
    average_checkpoints: int = 0  # at the end, take the mean of so many last checkpoints; 0 takes the last
    loss_chunk_size: int = 128  # target tokens whose logits exist at a time; 0 for all at once
    eval_metrics: list[str] = field(default_factory=list)  # names are listed in the manual
    eval_prefix: str = "off"  # caption prefix when the model writes for them: on, off, or auto as in evaluation
    eval_samples: int = 8  # of what it writes, kept with their images at each evaluation; 0 for none
    early_stopping_patience: int = 0  # evaluations without a better metric_for_best_model; 0 never stops

    def __post_init__(self) -> None:
        # No shell has seen what comes from YAML.
        self.model, self.data_folder = os.path.expanduser(self.model), os.path.expanduser(self.data_folder)
        self.teacher = self.teacher and os.path.expanduser(self.teacher)
        check_choice("method", self.method, METHODS)
        check_choice("lora_parts", self.lora_parts, LORA_PARTS)
        for name in ("hidden_sources", "rehearsal", "lora_dropout", "augmentation"):
            share = getattr(self, name)
            if not 0 <= share <= 1 or (name in ("rehearsal", "lora_dropout") and share == 1):
                raise ValueError(f"{name} must be a share from 0 to 1, not {share!r}")
        if not 0 < self.self_taught_keep <= 1:
            raise ValueError(f"self_taught_keep must be a share above 0 and up to 1, not {self.self_taught_keep!r}")
        for name in ("lora_rank", "lora_alpha", "rehearsal_examples"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)!r}")
        for name in ("loss_chunk_size", "early_stopping_patience", "eval_samples", "average_checkpoints"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)!r}")
        for name in ("train_data", "eval_data"):
            setattr(self, name, [read_source(name, entry) for entry in getattr(self, name)])
        if any(source.dataset == UNLABELLED for source in self.eval_data):
            raise ValueError(
                "eval_data names unlabelled, which has no text to compare with: name it in train_data only"
            )
        if not self.train_data:
            raise ValueError("train_data is empty: name at least one dataset")
        self._check_hiding()
        if self.preference < 0:
            raise ValueError(f"preference must not be negative, got {self.preference!r}")
        if self.preference and (self.method not in ("lora", "qlora") or self.rehearsal or self.cache_image_features):
            raise ValueError(
                "preference compares with the model without its adapter: use lora or qlora, without rehearsal and "
                "cache_image_features"
            )
        self._check_teacher()
        if self.cache_image_features and (
            self.vision_train_mode or self.method == "full" or self.lora_parts == "all-linear"
        ):
            raise ValueError(
                "cache_image_features needs image tokens that never change: no vision_train_mode, full or all-linear"
            )
        if self.cache_image_features and self.augmentation:
            raise ValueError("cache_image_features needs images that never change: no augmentation")
        if self.merge and self.method not in ("lora", "qlora"):
            raise ValueError(f"merge is for adapters, not for the method {self.method}")

    @property
    def source_hiding(self) -> Hiding:
        """Return what the sources of translations hide."""
        return Hiding(self.hiding, self.grounding, tuple(self.hiding_languages), tuple(self.hidden_things))

    def _check_teacher(self) -> None:
        if not 0 < self.distillation <= 1:
            raise ValueError(f"distillation must be a share above 0 and up to 1, not {self.distillation!r}")
        if self.distillation_temperature <= 0:
            raise ValueError(f"distillation_temperature must be above 0, not {self.distillation_temperature!r}")
        if self.teacher and (self.preference or self.cache_image_features):
            raise ValueError("a teacher sees the image itself: no preference and no cache_image_features beside it")
        if self.teacher and self.loss_chunk_size:
            raise ValueError(
                f"loss_chunk_size is {self.loss_chunk_size} beside a teacher, whose logits are needed all at once: "
                "set it to 0"
            )

    def _check_hiding(self) -> None:
        if self.hidden_sources and self.source_hiding.mode in ("partial", "whole"):
            raise ValueError(
                f"hidden_sources is {self.hidden_sources!r} beside hiding {self.hiding}: use hiding independent "
                "or leave hidden_sources out"
            )
        if not self.hiding_languages:
            return
        if any(source.names_own_tasks for source in self.train_data):
            return
        translated = {
            language for source in self.train_data if source.only_task == "translate" for language in source.languages
        }
        self.source_hiding.check_languages(sorted(translated))


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


def parse_recipe(values: dict[str, Any]) -> Recipe:
    """Build a recipe from its values, as `read_recipe` returns them.

    Raises:
        ValueError: a value is out of range.
    """
    own = {entry.name for entry in dataclasses.fields(RecipeArguments)}
    arguments = RecipeArguments(**{key: value for key, value in values.items() if key in own})
    given = {key: value for key, value in values.items() if key not in own}
    check_fixed(given)
    if "num_train_epochs" in given:
        if given.setdefault("max_steps", -1) > 0:
            raise ValueError(
                f"max_steps is {given['max_steps']} beside num_train_epochs {given['num_train_epochs']}: give one, or "
                "set max_steps to -1"
            )
        if given["num_train_epochs"] <= 0:
            raise ValueError(f"num_train_epochs must be above 0, not {given['num_train_epochs']!r}")
    elif given.get("max_steps", 1) < 1:
        raise ValueError(f"max_steps must be at least 1, not {given['max_steps']!r}: recipes are as long as they say")
    try:
        training = FlorenzTrainingArguments(**given)
    except (TypeError, ImportError, RuntimeError) as error:
        raise ValueError(f"the recipe does not fit Trainer: {error}") from None
    check_trainer(training)
    if arguments.average_checkpoints:
        if training.load_best_model_at_end:
            raise ValueError("average_checkpoints does not fit load_best_model_at_end: choose one of them")
        if training.fsdp or training.deepspeed:
            raise ValueError("average_checkpoints needs the whole model in each process: leave out fsdp and deepspeed")
        if training.save_total_limit and training.save_total_limit < arguments.average_checkpoints:
            raise ValueError(
                f"average_checkpoints is {arguments.average_checkpoints}, but save_total_limit keeps "
                f"{training.save_total_limit}: raise it"
            )
    return Recipe(values, arguments, training)
