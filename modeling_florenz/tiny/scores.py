"""Put the scores of models on emoji scenes into the two forms that the Hub reads: `model-index` and `.eval_results`.

The dataset declares its tasks in `eval.yaml`; a model's `.eval_results` name them.
"""

from pathlib import Path
from statistics import mean
from typing import Any

from huggingface_hub import EvalResult, EvalResultEntry, eval_result_entries_to_yaml

from ..card_template import HUB, OWNER, PAPER, read_results
from ..yaml_files import to_yaml
from .evaluate import GIVEN, SELF_TAUGHT


DATASET = f"{OWNER}/emoji_scenes"
MEASURES = ("exact", "objects", "language")
# Tasks of the dataset, each a configuration and a split of it.
TASKS = {
    "captions_given": ("scenes", "test"),
    "captions_self_taught": ("scenes", "test"),
    "ambiguous_words": ("ambiguous", "test"),
}


def score(metric: str, name: str, value: float, config: str = "scenes") -> EvalResult:
    """Return an entry of `model-index` about the dataset's test split.

    Args:
        metric: one of `MEASURES`, or `accuracy`.
        name: what was measured, in words.
        value: from 0 to 1.
        config: `scenes`, where images are captioned, or `ambiguous`, where a reading is chosen.
    """
    return EvalResult(
        task_type="image-to-text" if config == "scenes" else "image-text-to-text",
        dataset_type=DATASET,
        dataset_config=config,
        dataset_name="Emoji scenes" if config == "scenes" else "Emoji scenes, ambiguous words",
        dataset_split="test",
        metric_type={"exact": "exact_match"}.get(metric, "accuracy"),
        metric_name=name,
        metric_value=round(value, 3),
    )


def tiny_scores(folder: Path) -> list[EvalResult]:
    """Return what `florenz-tiny` reaches, for `model-index`."""
    cells = read_results(folder, "florenz-tiny")["cells"]
    found = [
        score(measure, f"captions in {', '.join(languages)}: {measure}", _mean(cells, languages, measure))
        for languages in (GIVEN, SELF_TAUGHT)
        for measure in MEASURES
    ]
    return [*found, score("accuracy", "readings chosen by the image", _readings(cells), "ambiguous")]


def render_eval_results(folder: Path) -> str:
    """Render `.eval_results/emoji_scenes.yaml` of `florenz-tiny`."""
    cells = read_results(folder, "florenz-tiny")["cells"]
    values = {
        "captions_given": _mean(cells, GIVEN, "exact"),
        "captions_self_taught": _mean(cells, SELF_TAUGHT, "exact"),
        "ambiguous_words": _readings(cells),
    }
    entries = [
        EvalResultEntry(
            dataset_id=DATASET,
            task_id=task,
            value=round(values[task], 3),
            source_url=f"{HUB}/{OWNER}/florenz-tiny/blob/main/results/florenz-tiny.json",
            source_name="protocol, command and all values",
        )
        for task in TASKS
    ]
    return to_yaml(eval_result_entries_to_yaml(entries))


def render_benchmark() -> str:
    """Render `eval.yaml` of the dataset, which makes a benchmark of it."""
    tasks = [{"id": task, "config": config, "split": split} for task, (config, split) in TASKS.items()]
    value: dict[str, Any] = {
        "name": "Emoji scenes",
        "description": "Captions of one to three emoji in six languages, right word for word (captions_given: en, de; "
        "captions_self_taught: fr, es, ru, zh), and the choice by the image between two readings of a sentence "
        f"(ambiguous_words). The world of florenz-tiny, a small model of the kind of Florenz ({PAPER}).",
        "evaluation_framework": "modeling-florenz",
        "tasks": tasks,
    }
    return to_yaml(value)


def _mean(cells: dict[str, Any], languages: tuple[str, ...], measure: str) -> float:
    return mean(cells["caption"][language][measure] for language in languages)


def _readings(cells: dict[str, Any]) -> float:
    return mean(cell["image"] for cell in cells["ambiguous"].values())
