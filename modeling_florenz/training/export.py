"""Leave a finished run as a folder that can be published: weights, processor, recipe, results, card, licences."""

import json
import shutil
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
    partial = folder.with_name(folder.name + ".partial")
    if trainer.args.should_save:
        shutil.rmtree(partial, ignore_errors=True)
    _save_weights(trainer, trained, partial)
    if not trainer.args.should_save:
        return folder
    if is_adapter:
        # Written at the end, as peft looks for the base under this name whenever it saves.
        path = partial / "adapter_config.json"
        settings = json.loads(path.read_text(encoding="utf-8"))
        settings["base_model_name_or_path"] = recipe.base_id or recipe.model
        settings["revision"] = getattr(trainer.florenz.config, "_commit_hash", None) or recipe.revision
        path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    # florenz-tiny was trained from nothing: its decoder is Gemma-2's code without Gemma-2's weights.
    license = "apache-2.0" if recipe.model == BUNDLED_NAME else licence_of(trainer.florenz.config)

    def finish(unfinished: Path, done: Path, card: str) -> None:
        (unfinished / "README.md").write_text(card, encoding="utf-8")
        write_licences(unfinished, license)
        _write_records(unfinished, processor, values, results)
        shutil.rmtree(done, ignore_errors=True)
        unfinished.rename(done)

    finish(partial, folder, render_run_card(recipe, trainer.args, results, is_adapter, license))
    if recipe.merge and is_adapter:
        merged = output / "model.partial"
        shutil.rmtree(merged, ignore_errors=True)
        trained.merge_and_unload().save_pretrained(merged)
        finish(merged, output / "model", render_run_card(recipe, trainer.args, results, False, license))
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


def _write_records(folder: Path, processor: FlorenzProcessor, values: dict[str, Any], results: dict[str, Any]) -> None:
    (folder / "training_args.bin").unlink(missing_ok=True)  # pickled, and all of it stands in recipe.yaml
    processor.save_pretrained(folder)
    recipe = {key: value for key, value in values.items() if key not in ("output_dir", "data_folder", "base_id")}
    recipe["model"] = values.get("base_id") or values.get("model", BUNDLED_NAME)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, allow_unicode=True, sort_keys=False), encoding="utf-8")
    (folder / "results.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
