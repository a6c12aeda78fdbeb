"""A training in its three steps: what is prepared, what is trained, what is left."""

import dataclasses
import shutil
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file, save_file
from small_recipes import small_recipe

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.data.hiding import Hiding
from modeling_florenz.resumable import hold
from modeling_florenz.training.export import export
from modeling_florenz.training.fine_tuning import fine_tune
from modeling_florenz.training.finished_run import published_recipe
from modeling_florenz.training.preparation import prepare
from modeling_florenz.training.recipe import parse_recipe
from modeling_florenz.training.recipe_data import load_data
from modeling_florenz.training.training_run import train


SCENES = {"dataset": "emoji_scenes", "task": "translate", "languages": ["de", "fr"], "examples": 20}


def test_each_step_gives_the_next_one_its_value(tmp_path):
    values = small_recipe(tmp_path / "run", max_steps=2, eval_data=[{**SCENES, "examples": 4}])
    prepared = prepare(load_data(parse_recipe(values)))
    assert len(prepared.train_data) == 4
    assert len(prepared.eval_data) == 8
    assert prepared.train_data.shares == {"translate/de": 0.5, "translate/fr": 0.5}
    assert yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text(encoding="utf-8")) == values
    trained = train(prepared)
    assert trained.results["steps"] == 2
    assert trained.results["metrics"]["eval_loss"] > 0
    assert not (tmp_path / "run" / "adapter").exists()
    run = export(trained)
    assert run.results == trained.results
    assert run.folder == tmp_path / "run" / "adapter"
    assert not list((tmp_path / "run").glob("*.partial"))
    for value in (prepared, trained, run):
        with pytest.raises(dataclasses.FrozenInstanceError):
            value.results = {}


def test_what_training_hides_evaluation_shows(tmp_path):
    values = small_recipe(tmp_path / "run", hiding="independent", grounding=1.0, eval_data=[SCENES])
    prepared = prepare(load_data(parse_recipe(values)))
    trained_on, measured_on = (
        [data[index]["source"] for index in range(4)] for data in (prepared.train_data, prepared.eval_data)
    )
    hiding = [data.groups[0].coverage.hiding for data in (prepared.train_data, prepared.eval_data)]
    assert hiding == [Hiding("independent", 1.0), Hiding()]
    assert not set(trained_on) & set(measured_on)


def test_a_second_process_is_refused_while_a_run_goes_on(tmp_path):
    with hold(tmp_path / "run" / "run"), pytest.raises(ValueError, match="another run is writing"):
        fine_tune(small_recipe(tmp_path / "run", model=str(tmp_path / "not even looked for")))
    assert not (tmp_path / "run" / "recipe.yaml").exists()


@pytest.mark.parametrize("broken", [b"\0\0\0", b"", b"max_steps: [", b"\xff"])
def test_a_broken_record_of_the_recipe_is_named(broken, tmp_path):
    (tmp_path / "recipe.yaml").write_bytes(broken)
    with pytest.raises(ValueError, match=r"recipe\.yaml is broken: choose another output_dir or remove it"):
        fine_tune(small_recipe(tmp_path))


def test_a_published_recipe_names_no_folder_of_this_machine():
    values = {"model": "/home/me/base", "base_id": "me/base", "output_dir": "/home/me/run", "data_folder": "/data"}
    assert yaml.safe_load(published_recipe({**values, "max_steps": 3})) == {"model": "me/base", "max_steps": 3}
    assert yaml.safe_load(published_recipe({"max_steps": 3}))["model"] == "florenz-tiny"
    own = {"model": "/home/me/base", "train_data": [{"dataset": "folder", "folder": "/home/me/photos"}]}
    assert "/home" not in published_recipe(own)
    assert yaml.safe_load(published_recipe(own))["train_data"] == [{"dataset": "folder", "folder": "photos"}]


def test_a_run_does_not_go_on_from_other_weights_of_the_same_name(tmp_path):
    base = Path(shutil.copytree(BUNDLED_MODEL, tmp_path / "base"))
    values = small_recipe(tmp_path / "run", model=str(base))
    data = load_data(parse_recipe(values))
    prepare(data)
    prepare(data)
    weights = load_file(base / "model.safetensors")
    name = "model.decoder.norm.weight"
    save_file({**weights, name: weights[name] + 0.5}, base / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        ValueError, match=r"run holds a run with other settings \(base model\): choose another output_dir"
    ):
        prepare(data)
