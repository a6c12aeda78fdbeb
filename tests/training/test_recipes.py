"""Recipes: what they hold, and what is refused before any training."""

import os
from pathlib import Path

import pytest

from modeling_florenz.cli import main
from modeling_florenz.training.fine_tuning import fine_tune
from modeling_florenz.training.recipe import parse_recipe
from modeling_florenz.training.recipe_file import RECIPES, read_recipe, recipe_path
from modeling_florenz.training.smoke import smoke_values


NAMES = sorted(path.stem for path in RECIPES.glob("*.yaml"))
SHARED = Path(__file__).parents[3] / "shared" / "data"


def test_twelve_recipes_ship_and_each_tells_how_it_is_run():
    assert NAMES == [
        "add_language_lora",
        "coco_karpathy_lora",
        "commute_dpo",
        "commute_lora",
        "distil",
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


# These write texts with the model first, or load a library of their own.
LONGER = ("add_language_lora", "multi30k_qlora", "self_taught_lora")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in LONGER)) for n in NAMES])
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
        if name == "commute_dpo":
            assert [(source.dataset, source.split) for source in recipe.train_data] == [("commute", "dev")]
            continue
        assert all(source.split in ("train", "restval") for source in recipe.train_data), name
        assert all(source.dataset != "commute" for source in recipe.train_data), name
        assert all(source.split in ("val", "dev") for source in recipe.eval_data), name


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "multi30k").is_dir(), reason="../shared/data/multi30k is missing")
def test_real_multi30k_and_commute_text_go_the_same_way(tmp_path):
    _link_multi30k(tmp_path / "multi30k")
    (tmp_path / "commute").symlink_to(SHARED / "commute")
    values = read_recipe(recipe_path("commute_lora"))
    small = smoke_values(values, tmp_path / "smoke")
    run = fine_tune({**small, "data_folder": str(tmp_path), "stand_in": True, "output_dir": str(tmp_path / "run")})
    assert run.results["metrics"]["eval_contrastive_accuracy"] == 50  # every image is the same grey
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
    "yaml": (["train_data=[{"], "is not YAML"),
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
