"""Refuse fields of Trainer that would fail later or do nothing, before anything is loaded."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import SchedulerType, Seq2SeqTrainer, get_scheduler
from transformers.integrations import get_available_reporting_integrations
from transformers.trainer_pt_utils import AcceleratorConfig
from transformers.training_args import OptimizerNames

from .trainer_arguments import FlorenzTrainingArguments


_ORDER = "the order of the examples is fixed before the first step, by seed and shares"
_NO_PREDICTIONS = "evaluation keeps no predictions of Trainer's: name measures in eval_metrics"
_PUSH = "a finished run is published by florenz push"
# What must keep its default, and why.
FIXED = {
    "auto_find_batch_size": "which examples a step sees depends on per_device_train_batch_size: set that",
    "batch_eval_metrics": _NO_PREDICTIONS,
    "bf16_full_eval": "evaluation would change the weights that are saved: use bf16",
    "data_seed": f"{_ORDER}: set seed",
    "dataloader_in_order": _ORDER,
    "debug": "what it adds to the model cannot read masks of flags, and has no TPU",
    "do_eval": "set eval_strategy",
    "do_predict": "use florenz evaluate",
    "do_train": "florenz train always trains",
    "enable_jit_checkpoint": "SIGTERM and SIGINT always save a checkpoint",
    "eval_accumulation_steps": _NO_PREDICTIONS,
    "eval_do_concat_batches": _NO_PREDICTIONS,
    "eval_use_gather_object": _NO_PREDICTIONS,
    "fp16_full_eval": "evaluation would change the weights that are saved: use fp16",
    "generation_config": "set generation_num_beams and generation_max_length",
    "hub_always_push": _PUSH,
    "hub_private_repo": _PUSH,
    "hub_revision": _PUSH,
    "hub_strategy": _PUSH,
    "hub_token": "a recipe is published with its model: set HF_TOKEN in the environment",
    "ignore_data_skip": "a run that goes on would see other examples",
    "include_for_metrics": _NO_PREDICTIONS,
    "include_num_input_tokens_seen": "Trainer would count pixels: results.json has target_tokens",
    "label_names": "the collator names the labels",
    "length_column_name": _ORDER,
    "liger_kernel_config": "liger-kernel does not know Florenz: loss_chunk_size saves the memory of the logits",
    "local_rank": "the launcher sets it",
    "parallelism_config": "Florenz is trained with DDP, FSDP or DeepSpeed: use a file of training/accelerate",
    "prediction_loss_only": _NO_PREDICTIONS,
    "predict_with_generate": "name measures in eval_metrics: the model then writes, and its texts are scored",
    "push_to_hub": _PUSH,
    "remove_unused_columns": "rows become tensors in the collator, which needs all of their columns",
    "restore_callback_states_from_checkpoint": "a run that goes on restores what it needs",
    "resume_from_checkpoint": "a run goes on from the last whole checkpoint in output_dir",
    "save_only_model": "a run could not go on from its checkpoints",
    "sortish_sampler": _ORDER,
    "train_sampling_strategy": _ORDER,
    "use_cache": "training needs no cache, and evaluation always has one",
    "use_liger_kernel": "liger-kernel does not know Florenz: loss_chunk_size saves the memory of the logits",
}


def check_fixed(values: Mapping[str, Any]) -> None:
    """Check that a recipe changes no field that must keep its default.

    Args:
        values: the recipe.

    Raises:
        ValueError: it does; the reason is given.
    """
    defaults = {
        entry.name: entry.default if entry.default_factory is dataclasses.MISSING else entry.default_factory()
        for entry in dataclasses.fields(FlorenzTrainingArguments)
    }
    for name, reason in FIXED.items():
        if name in values and values[name] != defaults[name]:
            raise ValueError(f"{name} must stay {defaults[name]!r}: {reason}")
    if values.get("ddp_backend") and "WORLD_SIZE" not in os.environ:
        raise ValueError("ddp_backend is for several processes: start them with accelerate launch, or leave it out")


def check_trainer(training: FlorenzTrainingArguments) -> None:
    """Check loggers, precision, optimizer and schedule by making them.

    Raises:
        ValueError: one of them cannot be had, or its settings do not fit.
    """
    for name in ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"):
        if getattr(training, name) < 1:
            raise ValueError(f"{name} must be at least 1, not {getattr(training, name)!r}")
    if not 0 <= training.label_smoothing_factor < 1:
        raise ValueError(f"label_smoothing_factor must be from 0 to below 1, not {training.label_smoothing_factor!r}")
    if training.fp16 and training.device.type == "cpu":
        raise ValueError("fp16 needs a GPU: use bf16, or leave it out")
    if isinstance(config := training.accelerator_config, AcceleratorConfig) and config.split_batches:
        raise ValueError("accelerator_config.split_batches must stay false: batch sizes are those of each device")
    if training.eval_on_start and training.load_best_model_at_end:
        raise ValueError("eval_on_start does not fit load_best_model_at_end: the untrained model has no checkpoint")
    installed = get_available_reporting_integrations()
    for name in training.report_to or []:
        if name not in installed:
            have = ", ".join(["none", *installed])
            raise ValueError(f"report_to names {name}, which is unknown or not installed: install it, or use {have}")
    _check_optimizer(training)


def _check_optimizer(training: FlorenzTrainingArguments) -> None:
    parameters = [nn.Parameter(torch.zeros(2, 2))]
    name, schedule = OptimizerNames(training.optim).value, SchedulerType(training.lr_scheduler_type).value
    if any(word in name for word in ("galore", "apollo", "lomo")) or training.optim_target_modules:
        raise ValueError(f"optim {name} with optim_target_modules is not tested with Florenz: use adamw_torch")
    try:
        kind, settings = Seq2SeqTrainer.get_optimizer_cls_and_kwargs(training)
        kind(parameters, **settings)
    except Exception as error:  # libraries that are missing raise many kinds
        raise ValueError(f"optim {name} cannot be had: {' '.join(str(error).split())}") from None
    given: Any = training.lr_scheduler_kwargs or {}
    plain, warmup = torch.optim.SGD(parameters, lr=training.learning_rate), training.get_warmup_steps(100)
    try:
        get_scheduler(schedule, plain, warmup, 100, scheduler_specific_kwargs=dict(given))
    except Exception as error:
        raise ValueError(
            f"lr_scheduler_type {schedule} does not fit lr_scheduler_kwargs {given!r}: {' '.join(str(error).split())}"
        ) from None
