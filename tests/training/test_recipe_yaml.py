"""Recipes are YAML from anywhere: words stay words, flags are flags where flags are meant, bombs are refused."""

from pathlib import Path

import pytest

from modeling_florenz.cli import main
from modeling_florenz.training.recipe import parse_recipe, read_recipe


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
