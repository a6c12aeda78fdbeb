"""Run a recipe: load, adapt, train, and leave one folder that holds all there is to know about the run."""

import dataclasses
import logging
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import accelerate
import datasets
import peft
import torch
import transformers
import yaml
from peft import PeftModel, prepare_model_for_kbit_training
from transformers import EarlyStoppingCallback, PreTrainedModel, set_seed

from .. import __version__
from ..checkpoint.freezing import freeze_as_in_paper
from ..checkpoint.quantization import quantization_config
from ..configuration_florenz import FlorenzConfig
from ..data.columns import ISO_639_1
from ..data.rows import Rows, join
from ..inference.captioner import BUNDLED_MODEL, BUNDLED_NAME, check_model
from ..modeling_florenz import FlorenzForConditionalGeneration
from ..processing_florenz import FlorenzProcessor
from ..resumable import check_settings, write_text
from .adapters import add_adapter, lora_config
from .export import export_run
from .feature_cache import FeatureCache
from .mixture import Mixture, target_shares
from .recipe import FlorenzTrainingArguments, RecipeArguments, parse_recipe
from .rehearsal import rehearse
from .trainer import FlorenzTrainer, last_complete_checkpoint
from .training_data import Groups, TrainingCollator, load_groups


logger = logging.getLogger(__name__)

# How many targets are read to find the tokens of a new language.
_VOCABULARY_ROWS = 4000


@dataclass(frozen=True)
class Run:
    """Tell what a finished run left: its folder, and the numbers of `results.json`."""

    folder: Path
    results: dict[str, Any]


def fine_tune(values: dict[str, Any]) -> Run:
    """Train as a recipe says, going on where an interrupted run of the same recipe stopped.

    Args:
        values: a recipe as `read_recipe` gives it.

    Returns:
        `OUTPUT_DIR/adapter`, or `OUTPUT_DIR/model` where the whole model was trained, and what was measured.

    Raises:
        ValueError: recipe, model or data do not fit; said before any training.
    """
    recipe, training = parse_recipe(values)
    set_seed(training.seed)
    output = Path(training.output_dir)
    _check_output(output, values, training)
    processor = load_processor(recipe)
    groups = load_groups(recipe.train_data, recipe, training.seed)
    held_out, contrasts = load_evaluation(recipe, training)
    _check_languages(groups, processor)
    shares = target_shares(recipe.shares, {name: len(group) for name, group in groups.items()})
    model = load_model(recipe, in_bfloat16=training.bf16)
    if recipe.rehearsal:
        languages = [code for code in processor.languages if code not in recipe.new_languages]
        arguments = (recipe.rehearsal_examples, training.seed, output / "rehearsal.jsonl", recipe.image_size)
        model.eval()
        rehearsal = rehearse(model, processor, groups, languages, *arguments)
        groups = {**groups, "rehearsal": rehearsal}
        shares = {name: share * (1 - recipe.rehearsal) for name, share in shares.items()}
        shares["rehearsal"] = recipe.rehearsal
    trained = adapt(model, processor, groups, recipe, training)
    features = None
    if recipe.cache_image_features:
        features = FeatureCache(output / "image_features", f"{recipe.model}@{recipe.revision}", recipe.image_size)
    draws = training.max_steps * training.train_batch_size * training.gradient_accumulation_steps * training.world_size
    trainer = FlorenzTrainer(
        model=trained,
        args=training,
        data_collator=TrainingCollator(processor, recipe.image_size, features),
        train_dataset=Mixture(groups, shares, draws, training.seed),
        eval_dataset=held_out,
        processing_class=processor,
        callbacks=[EarlyStoppingCallback(recipe.early_stopping_patience)] if recipe.early_stopping_patience else None,
        loss_chunk_size=recipe.loss_chunk_size,
        vision_train_mode=recipe.vision_train_mode,
        florenz=model,
        contrasts=contrasts,
    )
    start = time.perf_counter()
    outcome = trainer.train(resume_from_checkpoint=last_complete_checkpoint(output))
    results = {
        "label": "measured-here",
        "steps": outcome.global_step,
        "training_loss": outcome.training_loss,
        "seconds_of_this_run": round(time.perf_counter() - start, 1),
        "trainable_parameters": sum(p.numel() for p in trained.parameters() if p.requires_grad),
        "shares": shares,
        "skipped": trainer.skipped,
        "metrics": trainer.evaluate() if held_out is not None else {},
        "versions": _versions(),
        "hardware": _hardware(),
    }
    folder = export_run(trainer, trained, processor, recipe, values, results, output)
    if trainer.skipped:
        logger.warning("%d examples were skipped because their images could not be read", len(trainer.skipped))
    return Run(folder, results)


def load_processor(recipe: RecipeArguments) -> FlorenzProcessor:
    """Load the base model's processor and add the languages and lengths of the recipe."""
    name = _model_name(recipe)
    check_model(name, recipe.revision)
    processor = FlorenzProcessor.from_pretrained(name, revision=recipe.revision)
    for code, english in recipe.new_languages.items():
        if code not in ISO_639_1 or code in processor.languages:
            raise ValueError(f"new_languages: {code!r} must be an ISO 639-1 code that the model does not have yet")
        processor.languages[code] = english
    for code, prefix in recipe.new_prefixes.items():
        if code not in recipe.new_languages:
            raise ValueError(f"new_prefixes: {code!r} is not in new_languages")
        processor.prefixes[code] = prefix
    processor.max_prompt_length = recipe.max_prompt_length or processor.max_prompt_length
    processor.max_target_length = recipe.max_target_length or processor.max_target_length
    return processor


def load_model(recipe: RecipeArguments, in_bfloat16: bool) -> FlorenzForConditionalGeneration:
    """Load the base model, in 4 bits for QLoRA; under LoRA its weights never change, so half precision will do."""
    name = _model_name(recipe)
    halved = in_bfloat16 and recipe.method == "lora"
    settings: dict[str, Any] = {"dtype": torch.bfloat16 if halved else torch.float32}
    if recipe.method == "qlora":
        shape = FlorenzConfig.from_pretrained(name, revision=recipe.revision)
        settings = {"dtype": torch.bfloat16, "quantization_config": quantization_config("int4", torch.bfloat16, shape)}
    return FlorenzForConditionalGeneration.from_pretrained(name, revision=recipe.revision, **settings)


def load_evaluation(recipe: RecipeArguments, training: FlorenzTrainingArguments) -> tuple[Mixture | None, Rows | None]:
    """Load the evaluation data: all rows in a fixed order, and apart from them all contrasts, if there are any."""
    if not recipe.eval_data:
        return None, None
    nothing = {"hiding": "none", "grounding": 0.0, "hiding_languages": [], "hidden_things": [], "hidden_sources": 0.0}
    quiet = dataclasses.replace(recipe, **nothing)
    groups = load_groups(recipe.eval_data, quiet, training.seed + 1)
    contrasts = join([found for group in groups.values() if (found := group.contrasts()) is not None])
    sizes = {name: len(group) for name, group in groups.items()}
    return Mixture(groups, "rows", sum(sizes.values()), training.seed), contrasts


def adapt(
    model: FlorenzForConditionalGeneration,
    processor: FlorenzProcessor,
    groups: Groups,
    recipe: RecipeArguments,
    training: FlorenzTrainingArguments,
) -> PreTrainedModel | PeftModel:
    """Make trainable what the recipe trains."""
    if recipe.method == "full":
        return model
    if recipe.method == "paper":
        freeze_as_in_paper(model)
        return model
    if recipe.method == "qlora":
        prepare_model_for_kbit_training(model, use_gradient_checkpointing=training.gradient_checkpointing)
    rows = used_tokens(processor, groups) if recipe.train_embedding_rows else []
    config = lora_config(
        model,
        recipe.lora_parts,
        recipe.lora_rank,
        recipe.lora_alpha,
        recipe.lora_dropout,
        recipe.use_dora,
        recipe.use_rslora,
        rows,
    )
    return add_adapter(model, config)


def used_tokens(processor: FlorenzProcessor, groups: Groups) -> list[int]:
    """List the ids that the targets of the training data use, of up to 4,000 of them."""
    ids: set[int] = set()
    names = [name for name in groups if name != "rehearsal"]
    for name in names:
        group = groups[name]
        step = max(1, len(group) * len(names) // _VOCABULARY_ROWS)
        targets = group.column("target")[::step]
        for encoded in processor.tokenizer(targets, add_special_tokens=False)["input_ids"]:
            ids.update(encoded)
    return sorted(ids)


def _model_name(recipe: RecipeArguments) -> str:
    return str(BUNDLED_MODEL) if recipe.model == BUNDLED_NAME else recipe.model


def _check_languages(groups: Groups, processor: FlorenzProcessor) -> None:
    for name in groups:
        language = name.partition("/")[2]
        if language not in processor.languages:
            raise ValueError(
                f"train_data holds {name}, but the model knows {', '.join(processor.languages)}: "
                "name the language in new_languages"
            )


def _check_output(output: Path, values: dict[str, Any], training: FlorenzTrainingArguments) -> None:
    """Keep the recipe beside the run; another recipe must not go on from its checkpoints."""
    kept = output / "recipe.yaml"
    text = yaml.safe_dump(values, allow_unicode=True, sort_keys=True)
    # What only says where and how the run goes may change between two parts of it.
    free = ("output_dir", "data_folder", "dataloader_num_workers", "logging_steps", "save_steps", "save_total_limit")
    if kept.exists():
        before = yaml.safe_load(kept.read_text(encoding="utf-8"))
        check_settings(before, values, f"{output} holds a run", "choose another output_dir or remove it", free)
    if training.process_index == 0:
        write_text(kept, text)


def _versions() -> dict[str, str]:
    libraries = (torch, transformers, peft, accelerate, datasets)
    return {"modeling_florenz": __version__, **{library.__name__: library.__version__ for library in libraries}}


def _hardware() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
