"""Load and check all that a training needs, before its first step: processor, data, model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, prepare_model_for_kbit_training
from transformers import set_seed

from ..checkpoint.fingerprint import weights_digest
from ..checkpoint.freezing import freeze_as_in_paper
from ..checkpoint.loading import load_model, load_processor
from ..data.columns import ISO_639_1
from ..data.rows import Rows, join
from ..inference.scoring import check_whole
from ..modeling_florenz import FlorenzForConditionalGeneration
from ..processing_florenz import FlorenzProcessor
from ..resumable import check_settings, write_text
from ..yaml_files import read_yaml, to_yaml
from .adapters import add_adapter, lora_config
from .feature_cache import FeatureCache
from .mixture import Mixture, target_shares
from .recipe import DataSource, Recipe
from .rehearsal import rehearse
from .self_taught import self_taught_groups, with_self_taught
from .target_lengths import warn_of_cut_targets
from .training_data import DataOptions, Groups, load_groups, tested_coco_ids


# How many targets are read to find the tokens of a new language.
_VOCABULARY_ROWS = 4000


@dataclass(frozen=True)
class Prepared:
    """Hold all that a training needs.

    Args:
        recipe: what is trained, and how.
        processor: with the languages and lengths of the recipe.
        model: the base model.
        trainable: the model itself, or an adapter around it.
        train_data: the draws of all steps, in their order.
        eval_data: all rows in a fixed order; None where the recipe names none.
        contrasts: rows of the evaluation data that have an `incorrect` target too.
        features: cache of image tokens, if the recipe asks for one.
        cut_targets: number of targets that are longer than the processor's limit.
    """

    recipe: Recipe
    processor: FlorenzProcessor
    model: FlorenzForConditionalGeneration
    trainable: FlorenzForConditionalGeneration | PeftModel
    train_data: Mixture
    eval_data: Mixture | None
    contrasts: Rows | None
    features: FeatureCache | None
    cut_targets: int


def prepare(recipe: Recipe) -> Prepared:
    """Load and check everything, and keep the recipe beside the run.

    Raises:
        ValueError: recipe, model or data do not fit, or the folder holds a run of another recipe.
    """
    arguments, training = recipe.arguments, recipe.training
    set_seed(training.seed)
    keep_recipe(recipe.output, recipe.values, write=training.process_index == 0)
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
    groups = load_groups(arguments.train_data, hidden)
    eval_data, contrasts = load_evaluation(arguments.eval_data, shown, training.seed, processor)
    check_languages(groups, processor)
    if set(self_taught_groups(groups)) == set(groups):
        # Said before the model is loaded; what a model teaches itself is counted afterwards.
        target_shares(arguments.shares, sizes_of(groups))
    # Under LoRA the base never changes, so that half precision will do for it.
    dtype = torch.bfloat16 if training.bf16 and arguments.method == "lora" else torch.float32
    quantize = "int4" if arguments.method == "qlora" else None
    model = load_model(arguments.model, arguments.revision, dtype, quantize)
    size = arguments.image_size
    keep = arguments.self_taught_keep
    groups = with_self_taught(model.eval(), processor, groups, keep, recipe.output, size)
    cut_targets = warn_of_cut_targets(groups.values(), processor)
    shares = target_shares(arguments.shares, sizes_of(groups))
    mixed: dict[str, Any] = dict(groups)
    if arguments.rehearsal:
        known = [code for code in processor.languages if code not in arguments.new_languages]
        path = recipe.output / "rehearsal.jsonl"
        count = arguments.rehearsal_examples
        mixed["rehearsal"] = rehearse(model.eval(), processor, groups, known, count, training.seed, path, size)
        shares = {name: share * (1 - arguments.rehearsal) for name, share in shares.items()}
        shares["rehearsal"] = arguments.rehearsal
    adapter = None
    if arguments.method in ("lora", "qlora"):
        adapter = lora_config(
            model,
            arguments.lora_parts,
            arguments.lora_rank,
            arguments.lora_alpha,
            arguments.lora_dropout,
            arguments.use_dora,
            arguments.use_rslora,
            used_tokens(processor, groups) if arguments.train_embedding_rows else (),
        )
    features = None
    if arguments.cache_image_features:
        tower = weights_digest(model.model.vision_tower, model.model.multi_modal_projector)
        features = FeatureCache(recipe.output / "image_features", tower, arguments.image_size)
    draws = training.max_steps * training.train_batch_size * training.gradient_accumulation_steps * training.world_size
    return Prepared(
        recipe=recipe,
        processor=processor,
        model=model,
        trainable=adapt(model, arguments.method, adapter, bool(training.gradient_checkpointing)),
        train_data=Mixture(mixed, shares, draws, training.seed),
        eval_data=eval_data,
        contrasts=contrasts,
        features=features,
        cut_targets=cut_targets,
    )


def keep_recipe(output: Path, values: dict[str, Any], write: bool) -> None:
    """Keep the recipe beside the run: another one must not go on from its checkpoints.

    Args:
        output: folder of the run.
        values: the recipe as it was given.
        write: whether this process writes it; of several that train together, one does.

    Raises:
        ValueError: the folder holds a run of another recipe.
    """
    kept, fix = output / "recipe.yaml", "choose another output_dir or remove it"
    # What only says where and how the run goes may change between two parts of it.
    free = ("output_dir", "data_folder", "dataloader_num_workers", "logging_steps", "save_steps", "save_total_limit")
    if kept.exists():
        try:
            before = read_yaml(kept)
        except ValueError:
            before = None
        if not isinstance(before, dict):
            raise ValueError(f"{kept} is broken: {fix}")
        check_settings(before, values, f"{output} holds a run", fix, free)
    if write:
        write_text(kept, to_yaml(values, sort_keys=True))


def sizes_of(groups: Groups) -> dict[str, int]:
    """Return the number of examples of each group."""
    return {name: len(group) for name, group in groups.items()}


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


def load_evaluation(
    sources: Sequence[DataSource], options: DataOptions, seed: int, processor: FlorenzProcessor
) -> tuple[Mixture | None, Rows | None]:
    """Load the evaluation data: all rows in a fixed order, and apart from them all contrasts, if there are any.

    Raises:
        ValueError: the data is wrong, or a contrast is too long for the processor to be scored whole.
    """
    if not sources:
        return None, None
    groups = load_groups(sources, options)
    contrasts = join([found for group in groups.values() if (found := group.contrasts()) is not None])
    if contrasts is not None:
        check_whole(processor, [text for side in ("target", "incorrect") for text in contrasts.column(side)])
    warn_of_cut_targets(groups.values(), processor, "evaluation")
    return Mixture(groups, "rows", sum(len(group) for group in groups.values()), seed), contrasts


def used_tokens(processor: FlorenzProcessor, groups: Groups) -> list[int]:
    """List the ids that the targets of the training data use, of up to 4,000 of them."""
    ids: set[int] = set()
    for group in groups.values():
        step = max(1, len(group) * len(groups) // _VOCABULARY_ROWS)
        targets = group.column("target")[::step]
        for encoded in processor.tokenizer(targets, add_special_tokens=False)["input_ids"]:
            ids.update(encoded)
    return sorted(ids)


def adapt(
    model: FlorenzForConditionalGeneration, method: str, adapter: LoraConfig | None, gradient_checkpointing: bool
) -> FlorenzForConditionalGeneration | PeftModel:
    """Make trainable what the method trains: everything, what the paper trains, or an adapter."""
    if adapter is None:
        if method == "paper":
            freeze_as_in_paper(model)
        return model
    if method == "qlora":
        prepare_model_for_kbit_training(model, use_gradient_checkpointing=gradient_checkpointing)
    return add_adapter(model, adapter)
