"""Runs of recipes: what they leave, what they skip, and how they go on after a kill."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from small_recipes import small_recipe, write_photos

from modeling_florenz.checkpoint.fingerprint import stored_digest
from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.inference.captioner import Captioner
from modeling_florenz.training.fine_tuning import fine_tune
from modeling_florenz.training.trainer import last_complete_checkpoint


def test_a_run_leaves_an_adapter_that_is_loaded_by_the_captioner_and_merges_into_a_plain_model(tmp_path):
    run = fine_tune(small_recipe(tmp_path / "run", merge=True, learning_rate=0.01, train_embedding_rows=True))
    settings = json.loads((run.folder / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == "florenz-tiny"
    assert run.results["base_digest"] == stored_digest(BUNDLED_MODEL)
    image = BUNDLED_MODEL / "sample.png"
    adapted, merged, base = Captioner(adapter=run.folder), Captioner(tmp_path / "run" / "model"), Captioner()
    inputs = base.processor(images=Image.open(image), task="caption", language="de", target="Ein Bild: Hund.")
    with torch.inference_mode():
        logits = [captioner.model(**inputs).logits for captioner in (adapted, merged, base)]
    assert (logits[0] - logits[1]).abs().max() < 1e-4
    assert (logits[0] - logits[2]).abs().max() > 1e-2
    assert adapted.caption([image], "de") == merged.caption([image], "de")


def test_a_new_language_reaches_the_processor_of_the_adapter(tmp_path):
    values = small_recipe(
        tmp_path / "run",
        train_data=[{"dataset": "emoji_scenes", "task": "translate", "languages": ["it"], "examples": 20}],
        new_languages={"it": "Italian"},
        new_prefixes={"it": "Un'immagine:"},
        rehearsal=0.5,
        rehearsal_examples=4,
    )
    run = fine_tune(values)
    captioner = Captioner(adapter=run.folder)
    assert captioner.languages[-1] == "it"
    assert isinstance(captioner.caption([BUNDLED_MODEL / "sample.png"], "it", prefix=True)[0], str)
    lines = (tmp_path / "run" / "rehearsal.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 4
    assert all(json.loads(line)["language"] != "it" for line in lines)


def test_a_broken_image_is_skipped_counted_and_reported(tmp_path, caplog):
    folder = write_photos(tmp_path / "data" / "photos")
    (folder / "2.png").write_bytes(b"this is not an image")
    data = [{"dataset": "folder", "folder": "photos", "languages": ["en"]}]
    values = small_recipe(tmp_path / "run", train_data=data, data_folder=str(tmp_path / "data"), max_steps=6)
    run = fine_tune(values)
    assert len(run.results["skipped"]) == 2  # twelve draws, each of the six twice
    assert run.results["steps"] == 6
    assert "2 examples were skipped" in caplog.text
    assert json.loads((run.folder / "results.json").read_text())["skipped"] == run.results["skipped"]


def test_broken_images_alone_end_nothing_and_teach_nothing(tmp_path):
    folder = write_photos(tmp_path / "data" / "photos", count=2)
    for path in folder.glob("*.png"):
        path.write_bytes(b"this is not an image")
    data = [{"dataset": "folder", "folder": "photos", "languages": ["en"]}]
    values = small_recipe(tmp_path / "run", train_data=data, data_folder=str(tmp_path / "data"), max_steps=2)
    run = fine_tune(values)
    assert len(run.results["skipped"]) == 4
    weights = load_file(run.folder / "adapter_model.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())


_RUN = """
import sys, yaml, torch
torch.set_num_threads(1)
from modeling_florenz.training.fine_tuning import fine_tune
fine_tune(yaml.safe_load(open(sys.argv[1])))
"""


def _start(values: dict, path: Path) -> subprocess.Popen:
    path.write_text(yaml.safe_dump(values))
    return subprocess.Popen([sys.executable, "-c", _RUN, str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_killed_run_goes_on_to_the_very_same_weights(workers, tmp_path):
    shape = {
        "max_steps": 12,
        "save_steps": 2,
        "dataloader_num_workers": workers,
        "hiding": "independent",
        "grounding": 0.3,
    }
    whole = fine_tune(small_recipe(tmp_path / "whole", **shape))
    values = small_recipe(tmp_path / "killed", **shape)
    process = _start(values, tmp_path / "values.yaml")
    stop_after = random.Random(workers).choice([2, 4, 6, 8])
    deadline = time.time() + 600
    while time.time() < deadline and process.poll() is None:
        if (tmp_path / "killed" / f"checkpoint-{stop_after}").is_dir():
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert last_complete_checkpoint(tmp_path / "killed") is None or process.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "adapter").exists()
    resumed = fine_tune(values)
    first, second = (load_file(run.folder / "adapter_model.safetensors") for run in (whole, resumed))
    assert all(torch.equal(first[name], second[name]) for name in first)
    losses = []
    for name in ("whole", "killed"):
        state = json.loads((tmp_path / name / "checkpoint-12" / "trainer_state.json").read_text())
        losses.append([entry["loss"] for entry in state["log_history"] if "loss" in entry])
    assert losses[0] == losses[1]
    assert len(losses[0]) == 12


def test_a_half_written_checkpoint_is_passed_over(tmp_path):
    for step, state in ((2, '{"global_step": 2}\n'), (10, '{"global_st'), (12, None)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if state is not None:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-2")


def test_another_recipe_does_not_go_on_from_a_run(tmp_path):
    fine_tune(small_recipe(tmp_path / "run", max_steps=2))
    with pytest.raises(ValueError, match=r"holds a run with other settings \(learning_rate\)"):
        fine_tune(small_recipe(tmp_path / "run", max_steps=3, learning_rate=0.5))


@pytest.mark.slow
def test_kept_image_features_change_nothing_but_the_work(tmp_path):
    shape = {"per_device_train_batch_size": 3, "max_steps": 4, "learning_rate": 0.01}
    folder = write_photos(tmp_path / "data" / "photos")
    data = {"train_data": [{"dataset": "folder", "folder": "photos"}], "data_folder": str(folder.parent)}
    plain = fine_tune(small_recipe(tmp_path / "plain", **shape, **data))
    kept = fine_tune(small_recipe(tmp_path / "kept", cache_image_features=True, **shape, **data))
    files = sorted((tmp_path / "kept" / "image_features").rglob("*.safetensors"))
    assert len(files) == 6
    stamps = [path.stat().st_mtime_ns for path in files]
    assert len(set(stamps)) > 1
    one, other = (load_file(run.folder / "adapter_model.safetensors") for run in (plain, kept))
    assert all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)


def test_an_adapter_on_a_bfloat16_base_is_trained_and_saved_in_float32(tmp_path):
    run = fine_tune(small_recipe(tmp_path / "run", bf16=True, max_steps=3))
    assert {tensor.dtype for tensor in load_file(run.folder / "adapter_model.safetensors").values()} == {torch.float32}
    assert 0 < run.results["training_loss"] < 1
