"""Load and check the data of a recipe, before its model is looked at."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import set_seed

from ..checkpoint.loading import load_processor
from ..data.columns import ISO_639_1
from ..data.rows import Rows, join
from ..inference.scoring import check_whole
from ..processing_florenz import FlorenzProcessor
from .data_fingerprint import fingerprint, keep_fingerprint
from .distillation import check_teacher
from .evaluation_checks import check_loaded_evaluation
from .kept_recipe import keep_recipe
from .loaded_data import DataOptions, Groups, LoadedPart, group_parts, load_parts, tested_coco_ids
from .mixture import target_shares
from .preference import check_preferences
from .recipe import Recipe
from .self_taught import self_taught_groups
from .target_lengths import warn_of_cut_targets


@dataclass(frozen=True)
class RecipeData:
    """Hold the data of a recipe, and the processor that reads it.

    Args:
        recipe: that named it.
        processor: with the languages and lengths of the recipe.
        train: training rows by `task/language`.
        evaluation: rows to measure on by `task/language`; empty where the recipe names none.
        contrasts: rows of the evaluation data that have an `incorrect` target too.
        loaded: what was found, for the record: `train` and `eval`, each a list of data sets with their rows.
        fingerprint: SHA-256 of all of it; None in processes other than the first.
    """

    recipe: Recipe
    processor: FlorenzProcessor
    train: Groups
    evaluation: Groups
    contrasts: Rows | None
    loaded: dict[str, list[dict[str, Any]]]
    fingerprint: str | None


def load_data(recipe: Recipe) -> RecipeData:
    """Load and check the data, and write recipe and fingerprint down beside the run.

    Raises:
        ValueError: recipe or data do not fit, or the folder holds a run of another recipe or on other data.
    """
    arguments, training = recipe.arguments, recipe.training
    is_first = training.process_index == 0
    set_seed(training.seed)
    keep_recipe(recipe.output, recipe.values, write=is_first)
    processor = load_processor(arguments.model, arguments.revision)
    add_languages(processor, arguments.new_languages, arguments.new_prefixes)
    processor.max_prompt_length = arguments.max_prompt_length or processor.max_prompt_length
    processor.max_target_length = arguments.max_target_length or processor.max_target_length
    folder = Path(arguments.data_folder)
    tested = tested_coco_ids([*arguments.train_data, *arguments.eval_data], folder)
    shown = DataOptions(folder, training.seed + 1, arguments.stand_in, excluded=tested)
    hidden = replace(
        shown, seed=training.seed, hiding=arguments.source_hiding, hidden_sources=arguments.hidden_sources
    )
    train_parts = load_parts(arguments.train_data, hidden)
    eval_parts = load_parts(arguments.eval_data, shown) if arguments.eval_data else []
    train, evaluation = group_parts(train_parts), group_parts(eval_parts)
    check_languages(train, processor)
    if set(self_taught_groups(train)) == set(train):
        # Said before the model is loaded; what a model teaches itself is counted afterwards.
        target_shares(arguments.shares, {name: len(group) for name, group in train.items()})
    if arguments.preference:
        check_preferences(train)
    if arguments.teacher:
        check_teacher(arguments.teacher, arguments.teacher_revision, processor)
    contrasts = load_contrasts(evaluation, processor)
    check_loaded_evaluation(recipe, evaluation, contrasts)
    warn_of_cut_targets(evaluation.values(), processor, "evaluation")
    return RecipeData(
        recipe=recipe,
        processor=processor,
        train=train,
        evaluation=evaluation,
        contrasts=contrasts,
        loaded={
            "train": [part.summary() for part in train_parts],
            "eval": [part.summary() for part in eval_parts],
        },
        fingerprint=_keep(recipe.output / "data.json", train_parts, eval_parts) if is_first else None,
    )


def add_languages(processor: FlorenzProcessor, languages: dict[str, str], prefixes: dict[str, str]) -> None:
    """Teach a processor new languages.

    Args:
        languages: English names by ISO 639-1 code.
        prefixes: first words of a caption by code.

    Raises:
        ValueError: a language is known already, or is not one; a prefix is of no new language.
    """
    for code, english in languages.items():
        if code not in ISO_639_1 or code in processor.languages:
            raise ValueError(f"new_languages: {code!r} must be an ISO 639-1 code that the model does not have yet")
        processor.languages[code] = english
    for code, prefix in prefixes.items():
        if code not in languages:
            raise ValueError(f"new_prefixes: {code!r} is not in new_languages")
        processor.prefixes[code] = prefix


def check_languages(groups: Groups, processor: FlorenzProcessor) -> None:
    """Refuse training data in a language that the processor does not know."""
    for name in groups:
        if name.partition("/")[2] not in processor.languages:
            raise ValueError(
                f"train_data holds {name}, but the model knows {', '.join(processor.languages)}: "
                "name the language in new_languages"
            )


def load_contrasts(groups: Groups, processor: FlorenzProcessor) -> Rows | None:
    """Return the rows that have an `incorrect` target too, or None.

    Raises:
        ValueError: one is too long for the processor to be scored whole.
    """
    contrasts = join([found for group in groups.values() if (found := group.contrasts()) is not None])
    if contrasts is not None:
        check_whole(processor, [text for side in ("target", "incorrect") for text in contrasts.column(side)])
    return contrasts


def _keep(path: Path, train: Sequence[LoadedPart], evaluation: Sequence[LoadedPart]) -> str:
    found = {
        f"{what} {name}": part
        for what, parts in (("train_data", train), ("eval_data", evaluation))
        for name, part in fingerprint(parts).items()
    }
    return keep_fingerprint(path, found)
