"""Contrasts among the evaluation data: all of them count, whatever language they are in and whatever stands beside."""

import pytest

from modeling_florenz.training.fine_tuning import fine_tune
from modeling_florenz.training.preparation import prepare
from modeling_florenz.training.recipe import parse_recipe
from modeling_florenz.training.recipe_data import load_data
from modeling_florenz.training.smoke import smoke_values


pytestmark = pytest.mark.filterwarnings("ignore:.*were published")
COMMUTE = {"dataset": "commute", "folder": "commute", "split": "test"}
MULTI30K = {"dataset": "multi30k_translation", "folder": "multi30k", "languages": ["fr"], "split": "val"}


def _values(folder, *eval_data):
    values = {
        "train_data": [{"dataset": "emoji_scenes", "task": "translate", "languages": ["fr"], "examples": 20}],
        "eval_data": list(eval_data),
        "lora_rank": 2,
        "eval_strategy": "steps",
        "load_best_model_at_end": True,
        "metric_for_best_model": "contrastive_accuracy",
        "greater_is_better": True,
    }
    return smoke_values(values, folder)


def test_contrasts_of_two_languages_are_all_evaluated(tmp_path):
    values = _values(tmp_path, {**COMMUTE, "languages": ["de", "fr"]})
    prepared = prepare(load_data(parse_recipe(values)))
    rows = [prepared.data.contrasts[index] for index in range(len(prepared.data.contrasts))]
    assert [row["language"] for row in rows] == ["de"] * 6 + ["fr"] * 6
    assert all(row["incorrect"] and row["incorrect"] != row["target"] for row in rows)
    assert len(prepared.eval_data) == 12


def test_contrasts_beside_other_data_in_their_language_choose_the_best_checkpoint(tmp_path):
    run = fine_tune(_values(tmp_path, MULTI30K, {**COMMUTE, "languages": ["fr"]}))
    sixths = run.results["metrics"]["eval_contrastive_accuracy"] * 6 / 100
    assert sixths == pytest.approx(round(sixths))


def test_each_contrast_is_scored_in_its_own_language(tmp_path):
    """A mixed batch gives the accuracy of both languages: half of the sum of what each gets by itself."""
    accuracy = {}
    for name, languages in (("de", ["de"]), ("fr", ["fr"]), ("both", ["de", "fr"])):
        run = fine_tune(_values(tmp_path / name, {**COMMUTE, "languages": languages}))
        accuracy[name] = run.results["metrics"]["eval_contrastive_accuracy"]
    assert accuracy["both"] == pytest.approx((accuracy["de"] + accuracy["fr"]) / 2)
