"""Leave a finished run as a folder that can be published: weights, processor, recipe, results, card, licences."""

import json
import logging
from pathlib import Path

import torch
from peft import PeftModel
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from ..checkpoint.licences import UNKNOWN, license_of, pass_on_licences
from ..checkpoint.loading import find_model
from ..modeling_florenz import FlorenzForConditionalGeneration
from ..resumable import whole_folder, write_json, write_text
from ..run_record import environment
from .card import CURVES, render_run_card
from .curves import draw_curves
from .finished_run import Run, published_recipe
from .trainer import FlorenzTrainer
from .training_run import Trained


logger = logging.getLogger(__name__)


def export(trained: Trained) -> Run:
    """Write what was trained with everything about it, complete or not at all.

    Returns:
        `OUTPUT_DIR/adapter` or `OUTPUT_DIR/model`; with `merge`, there are both.
    """
    prepared, trainer, results = trained.prepared, trained.trainer, trained.results
    recipe, weights = prepared.recipe, prepared.trainable
    is_adapter = isinstance(weights, PeftModel)
    folder = recipe.output / ("adapter" if is_adapter else "model")
    if not recipe.training.should_save:
        _save_weights(trainer, weights, folder)  # a shard of them, which the first process writes
        return Run(folder, results)
    arguments = recipe.arguments
    base = find_model(arguments.model, arguments.revision, weights=False)
    license = license_of(base) or UNKNOWN
    if license == UNKNOWN and not arguments.license:
        logger.warning("%s states no licence: set license in the recipe, or in the card", arguments.model)

    def write_rest(partial: Path, is_adapter: bool) -> None:
        card = render_run_card(arguments, recipe.training, results, is_adapter, license)
        write_text(partial / "README.md", card)
        pass_on_licences(base, partial)
        prepared.processor.save_pretrained(partial)
        write_text(partial / "recipe.yaml", published_recipe(recipe.values))
        write_json(partial / "results.json", results)
        write_text(partial / "environment.txt", environment())
        draw_curves(partial / CURVES, results["loss_curve"], results["evaluations"])
        (partial / "training_args.bin").unlink(missing_ok=True)  # pickled, and all of it stands in recipe.yaml

    with whole_folder(folder, replace=True) as partial:
        _save_weights(trainer, weights, partial)
        if is_adapter:
            # Written at the end, as peft looks for the base under this name whenever it saves.
            path = partial / "adapter_config.json"
            settings = json.loads(path.read_text(encoding="utf-8"))
            settings["base_model_name_or_path"] = arguments.base_id or arguments.model
            settings["revision"] = getattr(prepared.model.config, "_commit_hash", None) or arguments.revision
            write_json(path, settings)
        write_rest(partial, is_adapter)
    if arguments.merge and isinstance(weights, PeftModel):
        with whole_folder(recipe.output / "model", replace=True) as partial:
            weights.merge_and_unload().save_pretrained(partial)
            write_rest(partial, False)
    return Run(folder, results)


def _save_weights(trainer: FlorenzTrainer, trained: FlorenzForConditionalGeneration | PeftModel, folder: Path) -> None:
    if not trainer.is_fsdp_enabled:
        trainer.save_model(str(folder))
        return
    # Checkpoints may be sharded; what from_pretrained loads is not.
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    state = get_model_state_dict(trainer.model_wrapped, options=options)
    if not trainer.args.should_save:
        return
    if isinstance(trained, PeftModel):
        trained.save_pretrained(str(folder), state_dict=state)
    else:
        # Sharding gives the model a class of torch's own: a plain one saves the plain code beside the weights.
        with torch.device("meta"):
            plain = FlorenzForConditionalGeneration(trained.config)
        plain.generation_config = trained.generation_config
        del state["lm_head.weight"]  # no longer the same memory as the embedding it is tied to
        plain.save_pretrained(folder, state_dict=state)
