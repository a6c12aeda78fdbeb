"""Leave a finished run as a folder that can be published: weights, processor, recipe, results, card, licences."""

import json
from pathlib import Path
from typing import Any

import torch
import yaml
from peft import PeftModel
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from transformers import PreTrainedModel

from ..checkpoint.licences import write_licences
from ..checkpoint.model_folder import licence_of
from ..inference.captioner import BUNDLED_NAME
from ..modeling_florenz import FlorenzForConditionalGeneration
from ..processing_florenz import FlorenzProcessor
from ..resumable import whole_folder, write_json, write_text
from .card import render_run_card
from .recipe import RecipeArguments
from .trainer import FlorenzTrainer


def export_run(
    trainer: FlorenzTrainer,
    trained: PreTrainedModel | PeftModel,
    processor: FlorenzProcessor,
    recipe: RecipeArguments,
    values: dict[str, Any],
    results: dict[str, Any],
    output: Path,
) -> Path:
    """Write what was trained with everything about it, complete or not at all; give its folder.

    Args:
        values: the recipe as it was given.
        results: for `results.json` and the card.
        output: the run's folder, in which `adapter` or `model` is made; with `merge`, both.
    """
    is_adapter = isinstance(trained, PeftModel)
    folder = output / ("adapter" if is_adapter else "model")
    if not trainer.args.should_save:
        _save_weights(trainer, trained, folder)  # a shard of them, which the first process writes
        return folder
    # florenz-tiny was trained from nothing: its decoder is Gemma-2's code without Gemma-2's weights.
    license = "apache-2.0" if recipe.model == BUNDLED_NAME else licence_of(trainer.florenz.config)
    with whole_folder(folder, replace=True) as partial:
        _save_weights(trainer, trained, partial)
        if is_adapter:
            # Written at the end, as peft looks for the base under this name whenever it saves.
            path = partial / "adapter_config.json"
            settings = json.loads(path.read_text(encoding="utf-8"))
            settings["base_model_name_or_path"] = recipe.base_id or recipe.model
            settings["revision"] = getattr(trainer.florenz.config, "_commit_hash", None) or recipe.revision
            write_json(path, settings)
        card = render_run_card(recipe, trainer.args, results, is_adapter, license)
        _write_records(partial, card, license, processor, values, results)
    if recipe.merge and is_adapter:
        with whole_folder(output / "model", replace=True) as partial:
            trained.merge_and_unload().save_pretrained(partial)
            card = render_run_card(recipe, trainer.args, results, False, license)
            _write_records(partial, card, license, processor, values, results)
    return folder


def _save_weights(trainer: FlorenzTrainer, trained: PreTrainedModel | PeftModel, folder: Path) -> None:
    if not trainer.is_fsdp_enabled:
        trainer.save_model(str(folder))
        return
    # Checkpoints may be sharded; what from_pretrained loads is not.
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    state = get_model_state_dict(trainer.model_wrapped, options=options)
    if not trainer.args.should_save:
        return
    if isinstance(trained, PeftModel):
        trained.save_pretrained(folder, state_dict=state)
    else:
        # Sharding gives the model a class of torch's own: a plain one saves the plain code beside the weights.
        with torch.device("meta"):
            plain = FlorenzForConditionalGeneration(trained.config)
        plain.generation_config = trained.generation_config
        del state["lm_head.weight"]  # no longer the same memory as the embedding it is tied to
        plain.save_pretrained(folder, state_dict=state)


def _write_records(
    folder: Path,
    card: str,
    license: str,
    processor: FlorenzProcessor,
    values: dict[str, Any],
    results: dict[str, Any],
) -> None:
    write_text(folder / "README.md", card)
    write_licences(folder, license)
    (folder / "training_args.bin").unlink(missing_ok=True)  # pickled, and all of it stands in recipe.yaml
    processor.save_pretrained(folder)
    recipe = {key: value for key, value in values.items() if key not in ("output_dir", "data_folder", "base_id")}
    recipe["model"] = values.get("base_id") or values.get("model", BUNDLED_NAME)
    write_text(folder / "recipe.yaml", yaml.safe_dump(recipe, allow_unicode=True, sort_keys=False))
    write_json(folder / "results.json", results)
