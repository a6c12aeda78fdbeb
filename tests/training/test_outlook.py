"""What is said before the first step: counts are exact, memory is near the peak, nothing is written or disturbed."""

import json
import os
import subprocess
import sys

import pytest
import torch
from small_recipes import small_recipe, write_photos

from modeling_florenz.data.samples import write_commute
from modeling_florenz.modeling_florenz import FlorenzForConditionalGeneration
from modeling_florenz.training.outlook import dry_run, look_ahead
from modeling_florenz.training.preference import preference_loss
from modeling_florenz.training.preparation import prepare
from modeling_florenz.training.recipe import parse_recipe
from modeling_florenz.training.recipe_data import load_data


PAIRS = [{"dataset": "commute", "split": "dev", "languages": ["fr"]}]


def test_a_dry_run_counts_times_and_leaves_nothing(tmp_path):
    values = small_recipe(tmp_path / "run", max_target_length=8, max_steps=300)
    found = dry_run(values)
    assert not (tmp_path / "run").exists()
    assert found.rows == {"translate/de": 40, "translate/fr": 40}
    assert found.cut_targets > 0
    assert (found.steps, found.batch) == (300, 2)
    assert 0 < found.trained < 0.2 * found.parameters
    assert found.seconds_per_step > 0
    text = "\n".join(found.lines())
    assert f"targets cut: {found.cut_targets} of 80" in text
    assert "time: about" in text


def test_looking_ahead_leaves_random_numbers_and_modes_as_they_were(tmp_path):
    prepared = prepare(load_data(parse_recipe(small_recipe(tmp_path / "run"))))
    modes = [module.training for module in prepared.trainable.modules()]
    before = torch.random.get_rng_state()
    small = look_ahead(prepared).memory_gb
    assert torch.equal(before, torch.random.get_rng_state())
    assert [module.training for module in prepared.trainable.modules()] == modes
    prepared.recipe.training.per_device_train_batch_size = 64
    assert look_ahead(prepared).memory_gb > small + 0.05


@pytest.mark.slow
def test_of_unlabelled_images_a_few_are_captioned_and_all_are_counted(tmp_path, monkeypatch):
    write_photos(tmp_path / "photos", count=20)
    (tmp_path / "photos" / "captions.jsonl").unlink()
    captioned, generate = [], FlorenzForConditionalGeneration.generate

    def count(model, **inputs):
        captioned.append(len(inputs["pixel_values"]))
        return generate(model, **inputs)

    monkeypatch.setattr(FlorenzForConditionalGeneration, "generate", count)
    data = [{"dataset": "unlabelled", "folder": "photos", "languages": ["fr"]}]
    more = {"train_data": data, "data_folder": str(tmp_path), "self_taught_keep": 0.8, "num_train_epochs": 2}
    values = small_recipe(tmp_path / "run", **more)
    del values["max_steps"]
    found = dry_run(values)
    assert captioned == [8, 8]  # in English, and from there into French
    assert found.rows == {"caption/fr": 16, "caption/en": 16, "translate/fr": 16}
    assert found.steps == 48


@pytest.mark.slow
def test_timed_steps_are_those_of_the_run(tmp_path, monkeypatch):
    write_commute(tmp_path / "data" / "commute", "dev", [("translate", "fr")])
    steps: list[float] = []

    def preference(*given):
        steps.append(given[-1])
        return preference_loss(*given)

    monkeypatch.setattr("modeling_florenz.training.trainer.preference_loss", preference)
    more = {"train_data": PAIRS, "data_folder": str(tmp_path / "data"), "max_steps": 30}
    dry_run(small_recipe(tmp_path / "run", preference=0.3, **more))
    assert steps == [0.3] * 12


_MEASURE = """
import json, sys, torch
torch.set_num_threads(1)
from modeling_florenz.training.outlook import dry_run
from modeling_florenz.training.run_log import peak_memory_gb
found = dry_run(json.loads(sys.argv[1]))
print(json.dumps({"estimate": found.memory_gb, "peak": peak_memory_gb()}))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [
        {"per_device_train_batch_size": 16},
        {"method": "full", "per_device_train_batch_size": 8},
        {"per_device_train_batch_size": 48, "lora_parts": "all-linear", "loss_chunk_size": 0},
        {"per_device_train_batch_size": 64, "max_steps": 3},
        {"per_device_train_batch_size": 16, "preference": 0.1, "train_data": PAIRS},
        {"per_device_train_batch_size": 16, "method": "full", "teacher": "florenz-tiny", "loss_chunk_size": 0},
    ],
    ids=["lora", "full", "large-batch", "frozen-tower", "preference", "teacher"],
)
def test_the_estimate_is_near_the_measured_peak(shape, tmp_path):
    write_commute(tmp_path / "data" / "commute", "dev", [("translate", "fr")])
    values = small_recipe(tmp_path / "run", data_folder=str(tmp_path / "data"), **{"max_steps": 20, **shape})
    command = [sys.executable, "-c", _MEASURE, json.dumps(values)]
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert run.returncode == 0, run.stderr[-2000:]
    found = json.loads(run.stdout.splitlines()[-1])
    print(found)
    assert abs(found["estimate"] / found["peak"] - 1) < 0.25, found
