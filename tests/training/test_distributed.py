"""Two processes train what one would: data parallel, sharded, and from a sharded checkpoint on one process again."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file

from modeling_florenz import FlorenzForConditionalGeneration
from modeling_florenz.checkpoint.loading import BUNDLED_MODEL


SCRIPT = Path(__file__).parents[1] / "support" / "distributed_run.py"
CONFIGS = Path(__file__).parents[2] / "modeling_florenz" / "training" / "accelerate"
LAYERS = ["FlorenzDecoderLayer", "BartEncoderLayer", "Florence2VisionBlock"]
STEPS = 20


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """Copy the bundled model without dropout, whose random numbers differ between one process and two."""
    folder = tmp_path_factory.mktemp("base") / "florenz"
    shutil.copytree(BUNDLED_MODEL, folder)
    config = json.loads((folder / "config.json").read_text())
    for part in ("encoder_config", "text_config"):
        for name in ("dropout", "attention_dropout", "activation_dropout"):
            if name in config[part]:
                config[part][name] = 0.0
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def _values(base: Path, output: Path, processes: int, **more) -> dict:
    return {
        "model": str(base),
        "method": "paper",
        "train_data": [{"dataset": "emoji_scenes", "task": "translate", "languages": ["de", "fr"], "examples": 100}],
        "output_dir": str(output),
        "max_steps": STEPS,
        "per_device_train_batch_size": 4 // processes,
        "learning_rate": 1.0e-3,
        "warmup_steps": 2,
        "logging_steps": 1,
        "save_steps": 10,
        "loss_chunk_size": 16,
        "use_cpu": True,
        "disable_tqdm": True,
        **more,
    }


def _run(values: dict, processes: int, *flags: str) -> Path:
    output = Path(values["output_dir"])
    path = output.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(values))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(processes), "--master_port", "0"]
    command += ["--rdzv_backend", "c10d", "--rdzv_endpoint", "localhost:0", str(SCRIPT), str(path), *flags]
    if processes == 1 and not flags:  # a sharded checkpoint is read by the launcher's kind of process only
        command = [sys.executable, str(SCRIPT), str(path), *flags]
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=400, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return output


def _losses(output: Path, step: int = STEPS) -> list[float]:
    state = json.loads((output / f"checkpoint-{step}" / "trainer_state.json").read_text())
    return [entry["loss"] for entry in state["log_history"] if "loss" in entry]


@pytest.fixture(scope="module")
def alone(base, tmp_path_factory) -> Path:
    return _run(_values(base, tmp_path_factory.mktemp("alone") / "run", 1), 1)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["paper", "lora"])
def test_two_processes_have_the_loss_of_one(method, base, alone, tmp_path):
    single = alone
    if method == "lora":
        single = _run(_values(base, tmp_path / "single", 1, method="lora"), 1)
    both = _run(_values(base, tmp_path / "run", 2, method=method), 2)
    assert json.loads((both / "shards-0.json").read_text())["rows"] == 2
    assert len(_losses(both)) == STEPS
    assert max(abs(a - b) for a, b in zip(_losses(both), _losses(single), strict=True)) < 1e-4
    assert (both / ("adapter" if method == "lora" else "model") / "results.json").is_file()


@pytest.mark.slow
def test_smoothed_labels_have_the_same_loss_in_two_processes(base, tmp_path):
    # Adam would make much of how small gradients are rounded.
    shape = {"label_smoothing_factor": 0.1, "optim": "sgd", "learning_rate": 0.1, "max_steps": 3, "save_steps": 3}
    single = _losses(_run(_values(base, tmp_path / "single", 1, **shape), 1), 3)
    both = _losses(_run(_values(base, tmp_path / "both", 2, **shape), 2), 3)
    print(single, both)
    assert both == pytest.approx(single, abs=1e-6)
    assert abs(single[0] - single[2]) > 1e-3


@pytest.mark.slow
def test_shards_in_two_processes_have_the_loss_of_one_resume_on_one_and_are_saved_whole(base, alone, tmp_path):
    sharding = {
        "fsdp": True,
        "fsdp_config": {"transformer_layer_cls_to_wrap": LAYERS, "state_dict_type": "SHARDED_STATE_DICT"},
    }
    both = _run(_values(base, tmp_path / "run", 2, **sharding), 2, "fsdp")
    shards = [json.loads((both / f"shards-{rank}.json").read_text()) for rank in (0, 1)]
    for shard in shards:
        assert shard["sharded"] == shard["layers"] > 100
        assert shard["local"] < 0.6 * shard["whole"]
    assert sum(shard["local"] for shard in shards) == shards[0]["whole"]
    assert max(abs(a - b) for a, b in zip(_losses(both), _losses(alone), strict=True)) < 1e-4

    whole = FlorenzForConditionalGeneration.from_pretrained(both / "model")
    single = FlorenzForConditionalGeneration.from_pretrained(alone / "model")
    for (name, one), (_, other) in zip(whole.named_parameters(), single.named_parameters(), strict=True):
        assert torch.allclose(one, other, atol=2e-3), name

    assert {path.name for path in (both / "model").iterdir()} == {path.name for path in (alone / "model").iterdir()}

    resumed = tmp_path / "resumed"
    shutil.copytree(both / "checkpoint-10", resumed / "checkpoint-10")
    _run(_values(base, resumed, 1, **sharding), 1, "fsdp")
    assert max(abs(a - b) for a, b in zip(_losses(resumed), _losses(alone), strict=True)) < 1e-4


@pytest.mark.parametrize("name", ["single_gpu", "ddp", "fsdp2", "deepspeed_zero3", "multi_node"])
def test_accelerate_knows_every_key_of_the_configurations(name):
    config = load_config_from_file(str(CONFIGS / f"{name}.yaml"))
    assert config.num_machines == (2 if name == "multi_node" else 1)
    if name == "fsdp2":
        assert config.fsdp_config["fsdp_transformer_layer_cls_to_wrap"].split(",") == LAYERS
        assert config.fsdp_config["fsdp_version"] == 2
