"""Render the cards of what comes from the emoji scenes: `florenz-tiny`, its Italian adapter, the dataset."""

from pathlib import Path
from statistics import mean
from string import Template
from typing import Any

from huggingface_hub import DatasetCardData, EvalResult, ModelCardData

from ..card_template import LANGUAGES, OWNER, TAGS, coverage, fill, read_facts, read_results, table
from ..data.emoji_scenes.parquet import FIELDS
from ..data.emoji_scenes.parquet import LANGUAGES as DATASET_LANGUAGES
from ..training.card import render_run_card
from ..training.recipe import parse_recipe
from ..training.recipe_file import read_recipe, recipe_path
from .evaluate import GIVEN, SELF_TAUGHT
from .table import markdown


DATASET = f"{OWNER}/emoji_scenes"
MEASURES = ("exact", "objects", "language")


def render_tiny_card(folder: Path) -> str:
    """Render the card of `florenz-tiny` from `hub_cards`."""
    facts = read_facts(folder, "florenz-tiny")
    report = read_results(folder, "florenz-tiny")
    cells = report["cells"]
    scores = [
        _score(f"captions, {kind}", "test", measure, mean(cells["caption"][one][measure] for one in languages))
        for languages, kind in ((GIVEN, "languages with given captions"), (SELF_TAUGHT, "self-taught languages"))
        for measure in MEASURES
    ]
    right = mean(cell["image"] for cell in cells["ambiguous"].values())
    scores.append(_score("ambiguous words", "ambiguous test", "accuracy", right))
    metadata = ModelCardData(
        language=LANGUAGES,
        license=facts["license"],
        library_name="transformers",
        pipeline_tag="image-text-to-text",
        tags=[tag for tag in TAGS if tag != "florence-2"],
        datasets=[DATASET],
        metrics=["accuracy", "exact_match"],
        model_name="florenz-tiny",
        eval_results=scores,
    )
    size = read_results(folder, "sizes")["sizes"]["florenz-tiny"]
    speed = read_results(folder, "size-speed")["sizes"]["florenz-tiny"]
    values = {
        "name": "florenz-tiny",
        "repository": f"{OWNER}/florenz-tiny",
        "readings": "[" + ", ".join(f'"{reading}"' for reading in facts["readings"]) + "]",
        "coverage": coverage(facts["unseen"]),
        "sizes": table(
            [
                ("parameters", size["parameters"].partition(" ")[0]),
                ("decoder", facts["decoder"]),
                ("weights in float16", f"{size['float16_mb']} MB"),
                ("a caption, greedy, on 2 threads of a CPU", f"{speed['caption']:.2f} s"),
            ]
        ),
        "results": "\n\n".join(
            [
                facts["results"].strip(),
                markdown([report]),
                facts["recipes"].strip(),
                read_results(folder, "florenz-tiny-recipes")["table"],
                facts["pivot"].strip(),
                read_results(folder, "pivot")["table"],
            ]
        ),
        "licence": facts["licence"],
    }
    plain_facts = ("summary", "sample", "source", "images", "fine_tuning", "limits", "training", "dtype")
    return fill(folder, "model", metadata, values | {name: facts[name] for name in plain_facts})


def render_italian_card(folder: Path) -> str:
    """Render the card of `florenz-tiny-it`, the adapter of the recipe `add_language_lora`."""
    facts, report = read_facts(folder, "florenz-tiny-it"), read_results(folder, "add-language")
    values = read_recipe(recipe_path("add_language_lora"))
    values |= {"hub_model_id": f"{OWNER}/florenz-tiny-it", "use_cpu": True, "base_id": f"{OWNER}/florenz-tiny"}
    recipe = parse_recipe(values)
    cells = report["cells"]["add_language_lora"]["it"]
    facts["results"] = f"{facts['results'].strip()}\n\n{report['table']}"
    scores = [
        _score(f"captions in Italian, {way}", "test", measure, cells[kind][measure])
        for way, kind, measure in (
            ("with prefix", "caption_prefix", "exact"),
            ("with prefix", "caption_prefix", "language"),
            ("by way of English", "caption_pivot", "exact"),
        )
    ]
    run = report["training"]["add_language_lora"]
    return render_run_card(recipe.arguments, recipe.training, run, True, "apache-2.0", facts, scores)


def render_dataset_card(folder: Path, rows: dict[str, dict[str, int]]) -> str:
    """Render the card of the emoji scenes as a dataset.

    Args:
        folder: `hub_cards`.
        rows: by configuration and split, as `write_parquet` gives them.
    """
    facts = read_facts(folder, "emoji_scenes")
    report = read_results(folder, "florenz-tiny")
    total = sum(count for splits in rows.values() for count in splits.values())
    metadata = DatasetCardData(
        language=list(DATASET_LANGUAGES),
        license=facts["license"],
        pretty_name=facts["pretty_name"],
        task_categories=["image-to-text", "translation"],
        size_categories=[_size_category(total)],
        annotations_creators=["machine-generated"],
        multilinguality=["multilingual", "translation"],
        tags=["florenz", "image-captioning", "multimodal-translation", "synthetic"],
        configs=[
            {
                "config_name": name,
                "data_files": [{"split": split, "path": f"data/{name}/{split}-*.parquet"} for split in splits],
                **({"default": True} if name == "scenes" else {}),
            }
            for name, splits in rows.items()
        ],
    )
    structure = [(name, split, f"{count:,}") for name, splits in rows.items() for split, count in splits.items()]
    values: dict[str, Any] = {
        "name": "emoji_scenes",
        "repository": DATASET,
        "image": "emoji_scenes.png",
        "quick_start": Template(facts["quick_start"]).substitute(repository=DATASET),
        "structure": table(structure, ("configuration", "split", "rows")),
        "fields": table([(f"`{name}`", what) for name, what in FIELDS.items()], ("field", "what")),
        "results": f"What florenz-tiny reaches on it; protocol and command: `hub_cards/results/florenz-tiny.json`.\n\n"
        f"{markdown([report])}",
    }
    names = ("summary", "picture", "making", "limits", "licence")
    return fill(folder, "dataset", metadata, values | {name: facts[name] for name in names})


def _score(what: str, split: str, measure: str, value: float) -> EvalResult:
    return EvalResult(
        task_type="image-text-to-text",
        task_name=what,
        dataset_type=DATASET,
        # Without a configuration the Hub's client would put all of one dataset under the first name.
        dataset_config=what,
        dataset_name=f"Emoji scenes, {what}",
        dataset_split=split,
        metric_type={"exact": "exact_match"}.get(measure, "accuracy"),
        metric_name=measure,
        metric_value=round(value, 3),
    )


def _size_category(rows: int) -> str:
    limits = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    return next((name for limit, name in limits if rows < limit), "1M<n<10M")
