"""What is measured during training has names, and what cannot be measured is refused before anything is loaded."""

from pathlib import Path

import pytest
from small_recipes import SCENES, small_recipe, write_photos

from modeling_florenz.cli import main
from modeling_florenz.training.eval_metrics import best_metrics, metric_names
from modeling_florenz.training.recipe import parse_recipe
from modeling_florenz.training.recipe_data import load_data
from modeling_florenz.yaml_files import to_yaml


HELD_OUT = {"dataset": "emoji_scenes", "split": "caption", "languages": ["de", "fr"], "examples": 4}


def test_a_measure_is_named_by_its_language_and_by_its_task_where_two_tasks_have_it():
    groups = ["caption/de", "translate/de", "translate/fr"]
    assert list(metric_names(["cider", "chrf", "exact"], groups)) == [
        "cider/de",
        "chrf/de",
        "chrf/fr",
        "exact/caption/de",
        "exact/translate/de",
        "exact/fr",
    ]


def test_the_best_checkpoint_can_be_chosen_by_what_is_measured_and_by_nothing_else():
    assert best_metrics(["exact"], ["caption/de"], []) == ["loss", "exact/de"]
    assert best_metrics(["contrastive_accuracy"], ["translate/fr"], ["fr"]) == [
        "loss",
        "contrastive_accuracy",
        "contrastive_accuracy/fr",
    ]


BEST = {"load_best_model_at_end": True, "eval_strategy": "steps", "eval_steps": 2}
REFUSED = {
    "unknown": ({"eval_metrics": ["rouge"], "eval_data": [HELD_OUT]}, "eval_metrics must be one of cider, bleu, chrf"),
    "no data": ({"eval_metrics": ["exact"]}, "eval_metrics needs eval_data"),
    "strategy": ({"eval_strategy": "steps", "eval_steps": 2}, "eval_strategy needs eval_data"),
    "task": (
        {"eval_metrics": ["chrf"], "eval_data": [HELD_OUT]},
        "which is for translate, but eval_data",
    ),
    "contrasts": (
        {"eval_metrics": ["contrastive_accuracy"], "eval_data": [HELD_OUT]},
        "no row of eval_data has an incorrect target",
    ),
    "best": (
        {**BEST, "metric_for_best_model": "exact/es", "eval_metrics": ["exact"], "eval_data": [HELD_OUT]},
        "metric_for_best_model must be one of loss, exact/de, exact/fr, not 'exact/es'",
    ),
    "not measured": (
        {**BEST, "metric_for_best_model": "cider/de", "eval_metrics": ["exact"], "eval_data": [HELD_OUT]},
        "metric_for_best_model must be one of loss, exact/de, exact/fr, not 'cider/de'",
    ),
    "patience": (
        {"early_stopping_patience": 2, "eval_data": [HELD_OUT]},
        "early_stopping_patience needs eval_strategy",
    ),
    "patience without a metric": (
        {"early_stopping_patience": 2, "eval_data": [HELD_OUT], "eval_strategy": "steps", "eval_steps": 2},
        "early_stopping_patience needs eval_strategy, metric_for_best_model",
    ),
    "checkpoints": (
        {**BEST, "save_steps": 4, "eval_data": [HELD_OUT]},
        "save_steps is 4 and eval_steps 2: make them equal",
    ),
    "prefix": ({"eval_prefix": "always", "eval_data": [HELD_OUT]}, "eval_prefix must be one of off, on, auto"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_cannot_be_measured_is_refused_before_anything_is_loaded(case, tmp_path, capsys):
    values, words = REFUSED[case]
    path = tmp_path / "recipe.yaml"
    path.write_text(to_yaml(small_recipe(tmp_path / "run", **values, model=str(tmp_path / "not even looked for"))))
    assert main(["train", str(path)]) == 2
    output = capsys.readouterr().err
    assert words in output
    assert output.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_rows_that_name_their_own_language_are_asked_before_a_model_is_loaded(tmp_path: Path):
    write_photos(tmp_path / "photos")
    data = {
        "eval_data": [{"dataset": "folder", "folder": "photos", "languages": ["en"]}],
        "data_folder": str(tmp_path),
    }
    values = {**BEST, "metric_for_best_model": "cider/de", "eval_metrics": ["cider"], "train_data": SCENES, **data}
    with pytest.raises(ValueError, match="must be one of loss, cider/en, not 'cider/de'"):
        load_data(parse_recipe(small_recipe(tmp_path / "run", **values)))
