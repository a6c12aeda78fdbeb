"""Recipes are YAML from anywhere: words stay words, flags are flags where flags are meant, bombs are refused."""

from pathlib import Path

import pytest

from modeling_florenz.cli import main
from modeling_florenz.training.recipe import parse_recipe
from modeling_florenz.training.recipe_file import read_recipe


DATA = "train_data: [{dataset: folder, folder: photos, languages: [no]}]\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(DATA + text, encoding="utf-8")
    return path


def test_norwegian_is_a_language_in_the_file_and_in_an_override(tmp_path: Path) -> None:
    path = write(tmp_path, "output_dir: run\nnew_languages: {no: Norwegian}\n")
    assert read_recipe(path)["new_languages"] == {"no": "Norwegian"}
    assert read_recipe(path, ["new_languages={no: Norsk}"])["new_languages"] == {"no": "Norsk"}
    assert parse_recipe(read_recipe(path)).arguments.train_data[0].languages == ["no"]


def test_words_are_flags_where_a_flag_is_meant(tmp_path: Path) -> None:
    path = write(tmp_path, "output_dir: run\nmerge: yes\nuse_dora: off\nbf16: No\neval_strategy: no\n")
    values = read_recipe(path, ["vision_train_mode=on"])
    assert [values[key] for key in ("merge", "use_dora", "bf16", "vision_train_mode")] == [True, False, False, True]
    assert values["eval_strategy"] == "no"
    source = "train_data=[{dataset: folder, folder: x, languages: [de], optional: no}]"
    assert parse_recipe(read_recipe(path, [source])).arguments.train_data[0].optional is False


def test_numbers_are_read_in_every_usual_form(tmp_path: Path) -> None:
    values = read_recipe(write(tmp_path, "learning_rate: 1e-4\nwarmup_steps: 10\nlora_rank: 08\n"))
    assert values["learning_rate"] == 1e-4
    assert values["lora_rank"] == 8


def test_counts_are_read_in_every_usual_form(tmp_path: Path) -> None:
    values = read_recipe(write(tmp_path, "max_steps: 1e3\nsave_steps: 2_500\n"), ["rehearsal_examples=2e2"])
    assert [values[key] for key in ("max_steps", "save_steps", "rehearsal_examples")] == [1000, 2500, 200]
    assert type(values["max_steps"]) is int


def test_a_path_with_dots_leads_into_mappings_and_lists(tmp_path: Path) -> None:
    overrides = [
        "train_data.0.folder=other",
        "train_data.1={dataset: folder, folder: more}",
        "new_languages.it=Italian",
        "lr_scheduler_kwargs.num_cycles=2",
        "eval_metrics=[cider, exact]",
        "eval_metrics.1=bleu",
    ]
    values = read_recipe(write(tmp_path, "new_languages: {no: Norwegian}\n"), overrides)
    assert [source["folder"] for source in values["train_data"]] == ["other", "more"]
    assert values["new_languages"] == {"no": "Norwegian", "it": "Italian"}
    assert values["lr_scheduler_kwargs"] == {"num_cycles": 2}
    assert values["eval_metrics"] == ["cider", "bleu"]


def test_environment_variables_stand_in_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTOS", "my photos")
    monkeypatch.setenv("STEPS", "12")
    path = write(tmp_path, "output_dir: runs/${PHOTOS}\nmax_steps: ${STEPS}\nrun_name: $${STEPS}\n")
    values = read_recipe(path, ["train_data.0.folder=${PHOTOS}"])
    assert values["output_dir"] == "runs/my photos"
    assert values["max_steps"] == 12
    assert values["run_name"] == "${STEPS}"
    assert values["train_data"][0]["folder"] == "my photos"


ASTRAY = {
    "train_data.3.folder=x": "train_data has 1 entries, counted from 0: there is no entry '3'",
    "train_data.first.folder=x": "there is no entry 'first'",
    "max_steps.0=3": "max_steps is 5, which has no entries: leave 0 out",
    "run_name=${NOT_SET_ANYWHERE}": "run_name asks for the environment variable 'NOT_SET_ANYWHERE', which is not set",
    "trian_data.0.folder=x": "unknown key 'trian_data': did you mean train_data?",
}


@pytest.mark.parametrize("override", ASTRAY)
def test_an_override_that_leads_nowhere_is_refused(override: str, tmp_path: Path, capsys) -> None:
    assert main(["train", str(write(tmp_path, "max_steps: 5\n")), "--set", override]) == 2
    assert ASTRAY[override] in capsys.readouterr().err


def test_the_home_folder_stands_for_itself_in_every_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    text = "output_dir: ~/run\nmodel: ~/model\ndata_folder: ~/photos\n"
    recipe = parse_recipe(
        read_recipe(write(tmp_path, text), ["train_data=[{dataset: folder, folder: ~/mine, languages: [de]}]"])
    )
    home = tmp_path / "home"
    assert recipe.output == home / "run"
    found = (recipe.arguments.model, recipe.arguments.data_folder, recipe.arguments.train_data[0].folder)
    assert found == (str(home / "model"), str(home / "photos"), str(home / "mine"))


REFUSED = {
    "merge: maybe": "merge must be of type bool, not 'maybe'",
    "lora_rank: no": "lora_rank must be of type int, not 'no'",
    "lora_rank: true": "lora_rank must be of type int, not True",
    "lora_rank: 1.5": "lora_rank must be of type int, not 1.5",
    "shares: [1]": "shares must be of type str or dict, not [1]",
    "lora_rank: 8\nlora_rank: 16": "'lora_rank' stands twice",
    "shares: &a {caption/de: 1}\nnew_languages: *a": "an alias (*) stands for other text",
    "no: 1": "has the unknown key 'no'",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_does_not_fit_is_refused_in_one_sentence(text: str, tmp_path: Path, capsys) -> None:
    assert main(["train", str(write(tmp_path, text + "\n"))]) == 2
    output = capsys.readouterr()
    assert REFUSED[text] in output.err
    assert output.err.count("\n") == 1


def test_an_override_is_as_careful(tmp_path: Path, capsys) -> None:
    assert main(["train", str(write(tmp_path, "")), "--set", "shares={a: 1, a: 2}"]) == 2
    assert "--set shares={a: 1, a: 2} is not YAML: 'a' stands twice" in capsys.readouterr().err
