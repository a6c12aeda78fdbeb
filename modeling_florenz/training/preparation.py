"""Prepare a training: load the model, make it trainable, and fix the order of the examples."""

from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, PeftModel, prepare_model_for_kbit_training

from ..checkpoint.fingerprint import stored_digest, weights_digest
from ..checkpoint.freezing import freeze_as_in_paper
from ..checkpoint.loading import find_model, load_model
from ..modeling_florenz import FlorenzForConditionalGeneration
from ..processing_florenz import FlorenzProcessor
from ..resumable import keep_settings
from .adapters import add_adapter, lora_config
from .distillation import load_teacher
from .feature_cache import FeatureCache
from .loaded_data import Groups
from .mixture import Mixture, target_shares
from .recipe import Recipe
from .recipe_data import RecipeData
from .rehearsal import rehearse
from .run_length import count_in_steps, steps_per_epoch
from .self_taught import left_out, with_self_taught
from .target_lengths import warn_of_cut_targets


# How many targets are read to find the tokens of a new language.
_VOCABULARY_ROWS = 4000


@dataclass(frozen=True)
class Prepared:
    """Hold all that a training needs.

    Args:
        data: the recipe, its data, and the processor that reads it.
        model: the base model.
        base_digest: by which an adapter knows its base again.
        teacher: to learn from, if the recipe names one.
        trainable: the model itself, or an adapter around it.
        train_data: the draws of all steps, in their order.
        eval_data: all rows in a fixed order; None where the recipe names none.
        features: cache of image tokens, if the recipe asks for one.
        steps_per_epoch: steps in which as many examples are drawn as there are rows.
        cut_targets: number of targets that are longer than the processor's limit.
        rows: number of training rows by `task/language`.
    """

    data: RecipeData
    model: FlorenzForConditionalGeneration
    base_digest: str
    teacher: FlorenzForConditionalGeneration | None
    trainable: FlorenzForConditionalGeneration | PeftModel
    train_data: Mixture
    eval_data: Mixture | None
    features: FeatureCache | None
    steps_per_epoch: int
    cut_targets: int
    rows: dict[str, int]

    @property
    def recipe(self) -> Recipe:
        """Return what is trained, and how."""
        return self.data.recipe

    @property
    def processor(self) -> FlorenzProcessor:
        """Return the processor, with the languages and lengths of the recipe."""
        return self.data.processor


def prepare(data: RecipeData, captioned: int | None = None) -> Prepared:
    """Load the model, let it write what the recipe asks it to before training, and fix the order of the examples.

    Args:
        data: of the recipe.
        captioned: number of unlabelled images of each language that are captioned; None for all. The others are
            counted as if they were.

    Raises:
        ValueError: recipe, model and data do not fit.
    """
    recipe, processor, groups = data.recipe, data.processor, data.train
    arguments, training = recipe.arguments, recipe.training
    # Under LoRA the base never changes, so that half precision will do for it.
    dtype = torch.bfloat16 if training.bf16 and arguments.method == "lora" else torch.float32
    quantize = "int4" if arguments.method == "qlora" else None
    base_digest = stored_digest(find_model(arguments.model, arguments.revision))
    # A run never goes on from other weights than it began with, whatever they are called.
    weights, teacher = {"base model": base_digest}, None
    if arguments.teacher:
        weights["teacher"] = stored_digest(find_model(arguments.teacher, arguments.teacher_revision))
    fix = "choose another output_dir or remove it"
    keep_settings(recipe.output / "base.json", weights, f"{recipe.output} holds a run", fix)
    model = load_model(arguments.model, arguments.revision, dtype, quantize)
    if arguments.teacher:
        half = torch.bfloat16 if training.bf16 else torch.float32
        teacher = load_teacher(arguments.teacher, arguments.teacher_revision, half, training.device)
    size = arguments.image_size
    keep = arguments.self_taught_keep
    more = left_out(groups, keep, captioned)
    groups = with_self_taught(model.eval(), processor, groups, keep, recipe.output, size, captioned)
    sizes = {name: size + more[name] for name, size in sizes_of(groups).items()}
    cut_targets = warn_of_cut_targets(groups.values(), processor)
    shares = target_shares(arguments.shares, sizes)
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
    epoch = steps_per_epoch(training, sum(sizes.values()), arguments.rehearsal)
    count_in_steps(training, epoch)
    draws = training.max_steps * training.train_batch_size * training.gradient_accumulation_steps * training.world_size
    return Prepared(
        data=data,
        model=model,
        base_digest=base_digest,
        teacher=teacher,
        trainable=adapt(model, arguments.method, adapter, bool(training.gradient_checkpointing)),
        train_data=Mixture(mixed, shares, draws, training.seed, features),
        eval_data=evaluation_order(data.evaluation, training.seed, features),
        features=features,
        steps_per_epoch=epoch,
        cut_targets=cut_targets,
        rows=sizes,
    )


def evaluation_order(groups: Groups, seed: int, features: FeatureCache | None = None) -> Mixture | None:
    """Put all rows to measure on into a fixed order; None if there are none."""
    return Mixture(groups, "rows", sum(map(len, groups.values())), seed, features) if groups else None


def sizes_of(groups: Groups) -> dict[str, int]:
    """Return the number of examples of each group."""
    return {name: len(group) for name, group in groups.items()}


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
