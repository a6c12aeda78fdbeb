"""Every field of Trainer works in a recipe, or is refused before anything is loaded."""

import dataclasses
import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from small_recipes import small_recipe
from transformers import Seq2SeqTrainingArguments

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.cli import main
from modeling_florenz.training.fine_tuning import fine_tune
from modeling_florenz.training.recipe import parse_recipe
from modeling_florenz.training.trainer_arguments import FlorenzTrainingArguments
from modeling_florenz.training.trainer_checks import FIXED
from modeling_florenz.yaml_files import to_yaml


FEW = [{"dataset": "emoji_scenes", "task": "translate", "languages": ["de", "fr"], "examples": 4}]
HELD_OUT = [{"dataset": "emoji_scenes", "split": "translate", "languages": ["de"], "examples": 3}]
# Runs that use them all: each field has a value other than its default in one of them, where there is one.
IN_EPOCHS: dict[str, Any] = {
    "num_train_epochs": 2,
    "accelerator_config": {"even_batches": False},
    "activation_checkpointing": True,
    "activation_checkpointing_kwargs": {"use_reentrant": False},
    "adam_beta1": 0.8,
    "adam_beta2": 0.99,
    "adam_epsilon": 1e-7,
    "average_tokens_across_devices": False,
    "dataloader_drop_last": True,
    "dataloader_multiprocessing_context": "fork",
    "dataloader_num_workers": 1,
    "dataloader_persistent_workers": True,
    "dataloader_pin_memory": False,
    "dataloader_prefetch_factor": 3,
    "ddp_broadcast_buffers": False,
    "ddp_bucket_cap_mb": 10,
    "ddp_find_unused_parameters": True,
    "ddp_static_graph": True,
    "ddp_timeout": 900,
    "disable_tqdm": True,
    "eval_delay": 1,
    "eval_strategy": "epoch",
    "gradient_accumulation_steps": 2,
    "greater_is_better": False,
    "hub_model_id": "me/mine",
    "label_smoothing_factor": 0.1,
    "learning_rate": 1e-3,
    "load_best_model_at_end": True,
    "log_level": "error",
    "log_level_replica": "error",
    "log_on_each_node": False,
    "logging_first_step": True,
    "logging_nan_inf_filter": False,
    "logging_strategy": "epoch",
    "lr_scheduler_kwargs": {"min_lr": 1e-6},
    "lr_scheduler_type": "cosine_with_min_lr",
    "max_grad_norm": 0.5,
    "metric_for_best_model": "loss",
    "neftune_noise_alpha": 5.0,
    "optim": "adamw_torch",
    "output_dir": "",
    "per_device_eval_batch_size": 3,
    "per_device_train_batch_size": 2,
    "project": "ours",
    "report_to": "none",
    "run_name": "a name",
    "save_on_each_node": True,
    "save_strategy": "epoch",
    "save_total_limit": 1,
    "seed": 7,
    "skip_memory_metrics": False,
    "torch_empty_cache_steps": 1,
    "trackio_bucket_id": None,
    "trackio_space_id": None,
    "trackio_static_space_id": None,
    "use_cpu": True,
    "warmup_steps": 0.25,
    "weight_decay": 0.1,
}
IN_STEPS: dict[str, Any] = {
    "max_steps": 3,
    "bf16": True,
    "eval_on_start": True,
    "eval_steps": 2,
    "eval_strategy": "steps",
    "generation_max_length": 20,
    "generation_num_beams": 2,
    "gradient_checkpointing": True,
    "gradient_checkpointing_kwargs": {"use_reentrant": False},
    "logging_steps": 2,
    "optim": "adafactor",
    "optim_args": "clip_threshold=2.0",
    "save_steps": 2,
}
# Each in a run of its own, elsewhere: tests/training/test_distributed.py, and below.
ELSEWHERE = ("fsdp", "fsdp_config", "full_determinism", "torch_compile", "torch_compile_backend", "torch_compile_mode")
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "deepspeed": ({"deepspeed": {"zero_optimization": {"stage": 3}}}, "does not fit Trainer"),
    "ddp_backend": ({"ddp_backend": "gloo"}, "ddp_backend is for several processes"),
    "fp16": ({"fp16": True}, "fp16 needs a GPU"),
    "tf32": ({"tf32": True}, "tf32 requires Ampere"),
    "optim_target_modules": ({"optim_target_modules": ["q_proj"]}, "is not tested with Florenz"),
}
UNFIT: dict[str, tuple[dict[str, Any], str]] = {
    **REFUSED,
    "logger": ({"report_to": "neptune"}, "report_to names neptune, which is unknown or not installed"),
    "unknown logger": ({"report_to": ["tensorbord"]}, "report_to names tensorbord"),
    "optimizer": ({"optim": "lion_64bit"}, "lion_64bit"),
    "missing optimizer": ({"optim": "grokadamw"}, "optim grokadamw cannot be had"),
    "galore": ({"optim": "galore_adamw"}, "is not tested with Florenz"),
    "optimizer's settings": ({"optim_args": "nonsense"}, "optim"),
    "betas": ({"adam_beta1": 1.5}, "optim adamw_torch_fused cannot be had: Invalid beta parameter"),
    "rate": ({"learning_rate": -1.0}, "Invalid learning rate"),
    "schedule": ({"lr_scheduler_type": "sinus"}, "sinus"),
    "schedule's settings": ({"lr_scheduler_kwargs": {"minimum": 1}}, "does not fit lr_scheduler_kwargs"),
    "schedule without settings": ({"lr_scheduler_type": "warmup_stable_decay"}, "does not fit lr_scheduler_kwargs"),
    "batch": ({"per_device_train_batch_size": 0}, "per_device_train_batch_size must be at least 1, not 0"),
    "accumulation": ({"gradient_accumulation_steps": 0}, "gradient_accumulation_steps must be at least 1"),
    "smoothing": ({"label_smoothing_factor": 1.5}, "label_smoothing_factor must be from 0 to below 1"),
    "both precisions": ({"bf16": True, "fp16": True}, "At most one of fp16 and bf16"),
    "split batches": ({"accelerator_config": {"split_batches": True}}, "split_batches must stay false"),
    "epochs beside steps": ({"num_train_epochs": 2, "max_steps": 9}, "max_steps is 9 beside num_train_epochs 2"),
    "no epochs": ({"num_train_epochs": 0, "max_steps": -1}, "num_train_epochs must be above 0"),
}
CHANGED = {
    "data_seed": 3,
    "debug": "underflow_overflow",
    "generation_config": "folder",
    "hub_private_repo": True,
    "hub_revision": "main",
    "hub_strategy": "end",
    "hub_token": "hf_secret",
    "eval_accumulation_steps": 2,
    "include_for_metrics": ["inputs"],
    "include_num_input_tokens_seen": "all",
    "label_names": ["labels"],
    "length_column_name": "size",
    "liger_kernel_config": {"rope": True},
    "local_rank": 0,
    "parallelism_config": {"tp_size": 2},
    "resume_from_checkpoint": "folder",
    "train_sampling_strategy": "group_by_length",
}


def test_the_tables_name_every_field_once_or_more():
    known = {entry.name for entry in dataclasses.fields(Seq2SeqTrainingArguments)}
    named = {*FIXED, *IN_EPOCHS, *IN_STEPS, *ELSEWHERE, *REFUSED}
    assert named == known
    assert not set(FIXED) & {*IN_EPOCHS, *IN_STEPS, *ELSEWHERE, *REFUSED}


@pytest.mark.parametrize("name", sorted(FIXED))
def test_a_field_that_must_keep_its_default_is_refused_with_the_reason(name, tmp_path):
    default = getattr(FlorenzTrainingArguments, name, None)
    value = CHANGED.get(name, not default)
    with pytest.raises(ValueError, match=f"{name} must stay .*: ") as error:
        parse_recipe(small_recipe(tmp_path, **{name: value}))
    assert FIXED[name] in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("case", list(UNFIT))
def test_values_that_would_fail_later_are_refused_in_one_sentence(case, tmp_path, capsys):
    values, words = UNFIT[case]
    path = tmp_path / "recipe.yaml"
    path.write_text(to_yaml(small_recipe(tmp_path / "run", **values, model=str(tmp_path / "not even looked for"))))
    assert main(["train", str(path)]) == 2
    output = capsys.readouterr().err
    assert words in output
    assert output.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_fields_that_count_in_epochs_work(tmp_path):
    values = small_recipe(tmp_path / "run", train_data=FEW, eval_data=HELD_OUT)
    del values["max_steps"]
    run = fine_tune({**values, **IN_EPOCHS, "output_dir": str(tmp_path / "run")})
    assert run.results["steps"] == 4  # two epochs of eight rows, four rows a step
    assert [step for step, _ in run.results["evaluations"]] == [2, 4]
    assert run.results["examples"] == 16
    assert run.results["best_step"] in (2, 4)
    assert not any("mem" in name for name in run.results["metrics"])
    assert "# mine" in (run.folder / "README.md").read_text(encoding="utf-8")


def test_fields_that_count_in_steps_work(tmp_path):
    values = {**small_recipe(tmp_path / "run", train_data=FEW, eval_data=HELD_OUT), **IN_STEPS}
    run = fine_tune(values)
    assert run.results["steps"] == 3
    assert [step for step, _ in run.results["evaluations"]] == [0, 2, 3]
    assert run.results["metrics"]["eval_loss"] > 0


@pytest.mark.slow
def test_smoothed_labels_give_the_same_weights_in_chunks_and_in_parts(tmp_path):
    shape: dict[str, Any] = {"label_smoothing_factor": 0.1, "optim": "sgd", "learning_rate": 0.1, "max_steps": 3}
    shapes = {
        "plain": {"loss_chunk_size": 0},
        "chunked": {"loss_chunk_size": 16},
        "parts": {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 2},
    }
    found = {}
    for name, more in {**shapes, "hard": {"label_smoothing_factor": 0.0}}.items():
        output = tmp_path / name
        run = fine_tune(small_recipe(output, model=_without_dropout(tmp_path), **{**shape, **more}))
        state = json.loads((output / "checkpoint-3" / "trainer_state.json").read_text(encoding="utf-8"))
        losses = [entry["loss"] for entry in state["log_history"] if "loss" in entry]
        found[name] = (losses, load_file(run.folder / "adapter_model.safetensors"))
    plain, weights = found["plain"]
    assert abs(plain[0] - found["hard"][0][0]) > 0.1
    for name in ("chunked", "parts"):
        assert abs(plain[0] - found[name][0][0]) <= 1e-6
        assert max(abs(one - other) for one, other in zip(plain, found[name][0], strict=True)) <= 1e-6
        for key, tensor in weights.items():
            assert torch.allclose(tensor, found[name][1][key], atol=1e-6), (name, key)


def _without_dropout(folder: Path) -> str:
    copy = folder / "base"
    if not copy.exists():
        shutil.copytree(BUNDLED_MODEL, copy)
        config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
        for part in ("encoder_config", "text_config"):
            for name in ("dropout", "attention_dropout", "activation_dropout"):
                if name in config[part]:
                    config[part][name] = 0.0
        (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return str(copy)


def test_a_full_disk_is_said_in_one_sentence_and_the_last_whole_checkpoint_stays(tmp_path, monkeypatch):
    values = small_recipe(tmp_path / "run", max_steps=6, save_steps=2)
    whole = torch.save
    saved: list[str] = []

    def save(value: Any, path: Any, *more: Any, **options: Any) -> None:
        saved.append(str(path))
        if "checkpoint-4" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(value, path, *more, **options)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", save)
        with pytest.raises(ValueError, match=r"is full; the last whole checkpoint is .*checkpoint-2: make room"):
            fine_tune(values)
    assert any("checkpoint-4" in path for path in saved)
    assert [path.name for path in (tmp_path / "run").glob("checkpoint-*")] == ["checkpoint-2"]
    assert fine_tune(values).results["steps"] == 6


@pytest.mark.parametrize("logger", ["tensorboard", "wandb", "trackio"])
def test_a_logger_is_fed_without_a_network(logger, tmp_path, monkeypatch):
    pytest.importorskip(logger)
    for name in ("WANDB_DIR", "TRACKIO_DIR", "TENSORBOARD_LOGGING_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "logs"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)
    fine_tune(small_recipe(tmp_path / "run", report_to=logger, max_steps=2, run_name="a name"))
    assert any(path.is_file() for path in tmp_path.rglob("*") if "run/checkpoint" not in str(path))


@pytest.mark.slow
def test_compiled_training_and_full_determinism_work(tmp_path):
    compiled = {"torch_compile": True, "torch_compile_backend": "eager", "torch_compile_mode": "default"}
    assert fine_tune(small_recipe(tmp_path / "compiled", **compiled)).results["steps"] == 4
    try:
        assert fine_tune(small_recipe(tmp_path / "same", full_determinism=True)).results["steps"] == 4
    finally:
        torch.use_deterministic_algorithms(False)
