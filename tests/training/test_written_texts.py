"""Evaluation by what the model writes: the numbers of `florenz evaluate`, samples with images, the best checkpoint."""

import json
from pathlib import Path

import pytest
from PIL import Image
from small_recipes import small_recipe

from modeling_florenz.cli import main
from modeling_florenz.evaluation.text_scores import score_texts
from modeling_florenz.training.fine_tuning import fine_tune
from modeling_florenz.training.finished_run import Run
from modeling_florenz.training.samples import cell


ROWS = 6


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Train until the model is spoiled: the first checkpoint is the best."""
    values = small_recipe(
        tmp_path_factory.mktemp("written") / "run",
        eval_data=[{"dataset": "emoji_scenes", "split": "detailed_caption", "languages": ["en"], "examples": ROWS}],
        eval_metrics=["exact", "bleu", "language_rate"],
        eval_strategy="steps",
        eval_steps=1,
        save_steps=1,
        max_steps=2,
        load_best_model_at_end=True,
        metric_for_best_model="exact/en",
        generation_num_beams=1,
        eval_samples=3,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=1,
        learning_rate=3.0,
    )
    return fine_tune(values, score_texts)


def test_the_best_checkpoint_is_not_the_last_one_and_is_exported(run: Run):
    scores = [(step, values["eval_exact/en"]) for step, values in run.results["evaluations"]]
    assert scores[0][1] > scores[1][1]
    assert run.results["best_step"] == 1
    assert run.results["metrics"]["eval_exact/en"] == scores[0][1]


def test_evaluate_gives_the_same_number(run: Run, tmp_path: Path):
    asked = ["--benchmark", "emoji_scenes", "--split", "detailed_caption", "--languages", "en", "--limit", str(ROWS)]
    search = ["--beams", "1", "--output", str(tmp_path), "--adapter", str(run.folder)]
    assert main(["evaluate", "florenz-tiny", *asked, *search]) == 0
    found = json.loads((tmp_path / "emoji_scenes.json").read_text(encoding="utf-8"))
    assert found["scores"]["detailed_caption/en"]["exact"] == pytest.approx(run.results["metrics"]["eval_exact/en"])


def test_samples_are_kept_with_their_images_at_each_evaluation(run: Run):
    folder = run.folder.parent / "samples"
    assert sorted(path.name for path in folder.glob("*.md")) == ["step-00001.md", "step-00002.md"]
    text = (folder / "step-00001.md").read_text(encoding="utf-8")
    assert text.count("![") == 3
    assert "| exact/en |" in text
    assert len(list((folder / "images").glob("*.png"))) == 3
    assert Image.open(folder / "images" / "caption-en-1.png").size == (96, 96)


def test_the_card_shows_the_measures_and_the_curves(run: Run):
    card = (run.folder / "README.md").read_text(encoding="utf-8")
    assert "at step 1, the best one, whose weights these are" in card
    assert "| exact/en |" in card
    assert "(loss_and_metrics.png)" in card
    assert Image.open(run.folder / "loss_and_metrics.png").height == 720


def test_measures_of_texts_need_a_scorer(tmp_path: Path):
    held_out = [{"dataset": "emoji_scenes", "split": "caption", "languages": ["de"], "examples": 2}]
    with pytest.raises(ValueError, match="eval_metrics needs a scorer"):
        fine_tune(small_recipe(tmp_path / "run", eval_data=held_out, eval_metrics=["exact"]))


def test_no_part_of_a_text_is_markup():
    assert cell("a | b\n<img src=x> [c](d) *e*") == r"a \| b &lt;img src=x&gt; \[c\]\(d\) \*e\*"
