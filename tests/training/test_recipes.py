"""Recipes: what they hold, what is refused before any training, what a run leaves behind."""

import json
import os
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

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.cli import main
from modeling_florenz.inference.captioner import Captioner
from modeling_florenz.training.fine_tuning import fine_tune
from modeling_florenz.training.recipe import RECIPES, parse_recipe, read_recipe, recipe_path
from modeling_florenz.training.smoke import smoke_values
from modeling_florenz.training.trainer import last_complete_checkpoint


NAMES = sorted(path.stem for path in RECIPES.glob("*.yaml"))
SHARED = Path(__file__).parents[3] / "shared" / "data"
SCENES = [{"dataset": "emoji_scenes", "task": "translate", "languages": ["de", "fr"], "examples": 40}]


def _values(output: Path, **more):
    return {
        "model": "florenz-tiny",
        "train_data": SCENES,
        "output_dir": str(output),
        "max_steps": 4,
        "per_device_train_batch_size": 2,
        "warmup_steps": 0,
        "logging_steps": 1,
        "save_steps": 2,
        "use_cpu": True,
        "disable_tqdm": True,
        "lora_rank": 2,
        "lora_alpha": 4,
        **more,
    }


def _photos(folder: Path, count: int = 6) -> Path:
    """Write a folder of one's own: images and captions.jsonl."""
    folder.mkdir(parents=True)
    rows = []
    for index in range(count):
        Image.new("RGB", (40, 30), (30 * index, 90, 120)).save(folder / f"{index}.png")
        rows.append(json.dumps({"image": f"{index}.png", "text": f"A picture of dog, number {index}."}))
    (folder / "captions.jsonl").write_text("\n".join(rows) + "\n")
    return folder


def test_ten_recipes_ship_and_each_tells_how_it_is_run():
    assert NAMES == [
        "add_language_lora",
        "coco_karpathy_lora",
        "commute_lora",
        "emoji_lora",
        "multi30k_lora",
        "multi30k_qlora",
        "paper_finetune",
        "paper_pretrain",
        "self_taught_lora",
        "xm3600_lora",
    ]
    for name in NAMES:
        head = recipe_path(name).read_text(encoding="utf-8").split("\n\n")[0]
        assert all(word in head for word in ("# Needs:", "# Memory and time", "# Run:", name)), name


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_runs_from_end_to_end_on_the_bundled_checkpoint(name, tmp_path):
    if name == "multi30k_qlora":
        pytest.importorskip("bitsandbytes")
    run = fine_tune(smoke_values(read_recipe(recipe_path(name)), tmp_path))
    assert run.results["steps"] == 2
    assert run.results["training_loss"] < 12
    assert {"results.json", "recipe.yaml", "README.md", "processor_config.json"} <= set(os.listdir(run.folder))
    assert not [path for path in run.folder.rglob("*") if path.suffix in (".bin", ".pt", ".pth", ".pkl")]
    assert str(tmp_path) not in (run.folder / "README.md").read_text(encoding="utf-8")
    assert str(tmp_path) not in (run.folder / "recipe.yaml").read_text(encoding="utf-8") or name == "multi30k_qlora"


def test_the_test_sets_of_commute_and_xm3600_are_in_no_recipe():
    for name in NAMES:
        values = {**read_recipe(recipe_path(name)), "bf16": False, "fp16": False, "output_dir": "x"}
        recipe = parse_recipe(values).arguments
        assert all(source.split in ("train", "restval") for source in recipe.train_data), name
        assert all(source.dataset != "commute" for source in recipe.train_data), name
        assert all(source.split in ("val", "dev") for source in recipe.eval_data), name


@pytest.mark.skipif(not (SHARED / "multi30k").is_dir(), reason="../shared/data/multi30k is missing")
def test_real_multi30k_and_commute_text_go_the_same_way(tmp_path):
    _link_multi30k(tmp_path / "multi30k")
    (tmp_path / "commute").symlink_to(SHARED / "commute")
    values = read_recipe(recipe_path("commute_lora"))
    small = smoke_values(values, tmp_path / "smoke")
    run = fine_tune({**small, "data_folder": str(tmp_path), "stand_in": True, "output_dir": str(tmp_path / "run")})
    assert run.results["metrics"]["eval_contrastive_accuracy"] == 0.5  # every image is the same grey
    assert "replaced by grey ones" in (run.folder / "README.md").read_text(encoding="utf-8")


def _link_multi30k(folder: Path) -> None:
    for task, names in (("task1", "raw"), ("task2", "raw")):
        target = folder / "data" / task / names
        target.parent.mkdir(parents=True)
        target.symlink_to(SHARED / "multi30k" / task)
        splits = folder / "data" / task / "image_splits"
        splits.mkdir()
        for path in (SHARED / "multi30k" / "image_splits").glob("*.txt"):
            is_second = path.name.startswith("task2_")
            if is_second == (task == "task2"):
                (splits / path.name.removeprefix("task2_")).symlink_to(path)


def test_a_run_leaves_an_adapter_that_is_loaded_by_the_captioner_and_merges_into_a_plain_model(tmp_path):
    run = fine_tune(_values(tmp_path / "run", merge=True, learning_rate=0.01, train_embedding_rows=True))
    settings = json.loads((run.folder / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == "florenz-tiny"
    image = BUNDLED_MODEL / "sample.png"
    adapted, merged, base = Captioner(adapter=run.folder), Captioner(tmp_path / "run" / "model"), Captioner()
    inputs = base.processor(images=Image.open(image), task="caption", language="de", target="Ein Bild: Hund.")
    with torch.inference_mode():
        logits = [captioner.model(**inputs).logits for captioner in (adapted, merged, base)]
    assert (logits[0] - logits[1]).abs().max() < 1e-4
    assert (logits[0] - logits[2]).abs().max() > 1e-2
    assert adapted.caption([image], "de") == merged.caption([image], "de")


def test_a_new_language_reaches_the_processor_of_the_adapter(tmp_path):
    values = _values(
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
    folder = _photos(tmp_path / "data" / "photos")
    (folder / "2.png").write_bytes(b"this is no image")
    data = [{"dataset": "folder", "folder": "photos", "languages": ["en"]}]
    values = _values(tmp_path / "run", train_data=data, data_folder=str(tmp_path / "data"), max_steps=6)
    run = fine_tune(values)
    assert len(run.results["skipped"]) == 2  # twelve draws, each of the six twice
    assert run.results["steps"] == 6
    assert "2 examples were skipped" in caplog.text
    assert json.loads((run.folder / "results.json").read_text())["skipped"] == run.results["skipped"]


def test_broken_images_alone_end_nothing_and_teach_nothing(tmp_path):
    folder = _photos(tmp_path / "data" / "photos", count=2)
    for path in folder.glob("*.png"):
        path.write_bytes(b"this is no image")
    data = [{"dataset": "folder", "folder": "photos", "languages": ["en"]}]
    values = _values(tmp_path / "run", train_data=data, data_folder=str(tmp_path / "data"), max_steps=2)
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


@pytest.mark.parametrize(
    "workers", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]
)
def test_a_killed_run_goes_on_to_the_very_same_weights(workers, tmp_path):
    shape = {
        "max_steps": 12,
        "save_steps": 2,
        "dataloader_num_workers": workers,
        "hiding": "independent",
        "grounding": 0.3,
    }
    whole = fine_tune(_values(tmp_path / "whole", **shape))
    values = _values(tmp_path / "killed", **shape)
    process = _start(values, tmp_path / "values.yaml")
    stop_after = random.Random(workers).choice([2, 4, 6, 8])
    deadline = time.time() + 120
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
    fine_tune(_values(tmp_path / "run", max_steps=2))
    with pytest.raises(ValueError, match="holds a run with another learning_rate, max_steps"):
        fine_tune(_values(tmp_path / "run", max_steps=3, learning_rate=0.5))


BAD = {
    "unknown key": (["lerning_rate=1"], "unknown key 'lerning_rate': did you mean learning_rate?"),
    "no key": (["learning_rate"], "write it as key=value"),
    "method": (["method=lorra"], "method must be one of lora, qlora, full, paper, not 'lorra'"),
    "parts": (["lora_parts=vision"], "lora_parts must be one of"),
    "share": (["grounding=1.5"], "grounding must be a share from 0 to 1, not 1.5"),
    "grounding without hiding": (["grounding=0.4"], "grounding is 0.4 but hiding is none"),
    "hiding without grounding": (["hiding=partial"], "hiding is partial but grounding is 0"),
    "keep nothing": (["self_taught_keep=0"], "self_taught_keep must be a share above 0 and up to 1, not 0"),
    "unlabelled evaluation": (["eval_data=[{dataset: unlabelled, languages: [fr]}]"], "has no text to compare with"),
    "unknown hiding": (["hiding=some", "grounding=0.4"], "hiding must be one of none, independent, partial, whole"),
    "hidden sources beside whole": (
        ["hiding=whole", "grounding=0.4", "hidden_sources=0.1"],
        "hidden_sources is 0.1 beside hiding whole",
    ),
    "hiding in a language that is not there": (
        ["hiding=partial", "grounding=0.4", "hiding_languages=[xx]"],
        "hiding_languages must be among",
    ),
    "type": (["max_steps=many"], "max_steps must be of type int, not 'many'"),
    "flag for number": (["max_steps=true"], "max_steps must be of type int, not True"),
    "no steps": (["max_steps=-1"], "max_steps must be at least 1"),
    "yaml": (["train_data=[{"], "is no YAML"),
    "no data": (["train_data=[]"], "train_data is empty"),
    "dataset": (["train_data=[{dataset: flickr}]"], "dataset must be one of"),
    "data key": (["train_data=[{dataset: folder, foldr: x}]"], "unknown key 'foldr': did you mean folder?"),
    "missing folder": (["train_data=[{dataset: folder, folder: nowhere}]"], "needs the folder data/nowhere"),
    "languages": (
        ["train_data=[{dataset: coco_karpathy, languages: [de]}]"],
        "language of coco_karpathy must be one of en, not 'de'",
    ),
    "split": (["train_data=[{dataset: docci, split: val}]"], "split of docci must be one of train, test"),
    "older name": (
        ["train_data=[{dataset: multi30k_captioning}]"],
        "multi30k_captioning is called multi30k_captions: use that name",
    ),
    "for tests only": (["train_data=[{dataset: xm3600, split: test}]"], "xm3600 is for tests only"),
    "no number of scenes": (["train_data=[{dataset: emoji_scenes}]"], "examples of emoji_scenes must be a positive"),
    "new language": (["train_data=[{dataset: emoji_scenes, languages: [it], examples: 5}]"], "name the language in"),
    "known language": (["new_languages={de: German}"], "that the model does not have yet"),
    "model": (["model=./nowhere"], "nowhere"),
    "shares": (["shares={caption/xx: 1}"], "which train_data does not hold"),
    "strategy": (["eval_strategy=steps"], "eval"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_a_bad_recipe_is_refused_in_one_sentence_before_any_training(case, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    overrides, words = BAD[case]
    settings = [part for override in overrides for part in ("--set", override)]
    assert main(["train", "emoji_lora", *settings]) == 2
    captured = capsys.readouterr().err
    assert words in captured
    assert "Traceback" not in captured
    assert not list(tmp_path.rglob("checkpoint-*"))


def test_an_unknown_recipe_names_those_there_are(capsys):
    assert main(["train", "multi30k"]) == 2
    assert "one of the recipes add_language_lora" in capsys.readouterr().err


def test_help_lists_every_field_and_every_recipe(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert all(word in text for word in ("lora_rank: 16", "per_device_train_batch_size: 8", "paper_pretrain"))


def test_kept_image_features_change_nothing_but_the_work(tmp_path):
    shape = {"per_device_train_batch_size": 3, "max_steps": 4, "learning_rate": 0.01}
    folder = _photos(tmp_path / "data" / "photos")
    data = {"train_data": [{"dataset": "folder", "folder": "photos"}], "data_folder": str(folder.parent)}
    plain = fine_tune(_values(tmp_path / "plain", **shape, **data))
    kept = fine_tune(_values(tmp_path / "kept", cache_image_features=True, **shape, **data))
    files = sorted((tmp_path / "kept" / "image_features").rglob("*.safetensors"))
    assert len(files) == 6
    stamps = [path.stat().st_mtime_ns for path in files]
    assert len(set(stamps)) > 1
    one, other = (load_file(run.folder / "adapter_model.safetensors") for run in (plain, kept))
    assert all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)


def test_an_adapter_on_a_bfloat16_base_is_trained_and_saved_in_float32(tmp_path):
    run = fine_tune(_values(tmp_path / "run", bf16=True, max_steps=3))
    assert {tensor.dtype for tensor in load_file(run.folder / "adapter_model.safetensors").values()} == {torch.float32}
    assert 0 < run.results["training_loss"] < 1
