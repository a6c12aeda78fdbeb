"""Render the cards of what comes from the emoji scenes: `florenz-tiny`, its Italian adapter, the dataset."""

from pathlib import Path
from string import Template
from typing import Any

from huggingface_hub import DatasetCardData, ModelCardData

from ..card_template import (
    HUB,
    LANGUAGES,
    OWNER,
    TAGS,
    captions_snippet,
    captions_table,
    coverage,
    fill,
    linked,
    read_facts,
    read_results,
    table,
)
from ..data.emoji_scenes.parquet import FIELDS
from ..data.emoji_scenes.parquet import LANGUAGES as DATASET_LANGUAGES
from ..processing_florenz import LANGUAGES as LANGUAGE_NAMES
from ..training.card import render_run_card
from ..training.recipe import parse_recipe
from ..training.recipe_file import read_recipe, recipe_path
from .scores import DATASET, score, tiny_scores
from .table import markdown


TINY, ITALIAN = f"{OWNER}/florenz-tiny", f"{OWNER}/florenz-tiny-it"


def render_tiny_card(folder: Path) -> str:
    """Render the card of `florenz-tiny` from `hub_cards`."""
    facts = {name: linked(text, TINY) for name, text in read_facts(folder, "florenz-tiny").items()}
    report = read_results(folder, "florenz-tiny")
    captions = read_results(folder, "sample-captions")["captions"]["florenz-tiny"]["direct"]
    metadata = ModelCardData(
        language=LANGUAGES,
        license=facts["license"],
        library_name="transformers",
        pipeline_tag="image-text-to-text",
        tags=[tag for tag in TAGS if tag != "florence-2"],
        datasets=[DATASET],
        metrics=["accuracy", "exact_match"],
        model_name="florenz-tiny",
        eval_results=tiny_scores(folder),
        # The Hub runs no code of a repository: it shows these in the place of a widget.
        widget=[
            {
                "src": f"{HUB}/{TINY}/resolve/main/sample.png",
                "text": f"The target language is {LANGUAGE_NAMES[language]}. What does the image describe?",
                "example_title": f"A caption in {LANGUAGE_NAMES[language]}",
                "output": {"text": caption},
            }
            for language, caption in captions.items()
        ],
    )
    snippet = captions_snippet(TINY, f'"{TINY}"')
    size = read_results(folder, "sizes")["sizes"]["florenz-tiny"]
    speed = read_results(folder, "size-speed")["sizes"]["florenz-tiny"]
    values = {
        "name": "florenz-tiny",
        "repository": TINY,
        "showcase": f"{captions_table(captions, TINY)}\n\nThe two lines that write them, after "
        f"`pip install modeling-florenz`:\n\n{snippet}",
        "prefix": "",
        "picture": "What it was taught, and what emerged",
        "image": "idea.png",
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
    plain_facts = (
        "summary",
        "new",
        "not_for",
        "ways",
        "source",
        "readings",
        "images",
        "fine_tuning",
        "limits",
        "training",
        "dtype",
    )
    return fill(folder, "model", metadata, values | {name: facts[name] for name in plain_facts})


def render_italian_card(folder: Path) -> str:
    """Render the card of `florenz-tiny-it`, the adapter of the recipe `add_language_lora`."""
    facts, report = read_facts(folder, "florenz-tiny-it"), read_results(folder, "add-language")
    captions = read_results(folder, "sample-captions")["captions"]["florenz-tiny-it"]
    values = read_recipe(recipe_path("add_language_lora"))
    values |= {"hub_model_id": ITALIAN, "use_cpu": True, "base_id": TINY}
    recipe = parse_recipe(values)
    texts = {
        "summary": facts["summary"],
        "limits": facts["limits"],
        "results": f"{linked(facts['results'], ITALIAN).strip()}\n\n{report['table']}",
        "quick_start": "\n\n".join(
            [
                captions_table(captions["by way of English"], ITALIAN),
                f"{facts['direct']} {captions['direct']['it']} The two lines that write the captions above:",
                captions_snippet(ITALIAN, f'adapter="{ITALIAN}"', ', via="en"'),
                f"## What is new\n\n{facts['new']}",
                f"## What it is not for\n\n{facts['not_for']}",
                "## Install",
            ]
        ),
    }
    cells = report["cells"]["add_language_lora"]["it"]
    scores = [
        score(measure, f"captions in Italian, {way}: {measure}", cells[kind][measure])
        for way, kind, measure in (
            ("with prefix", "caption_prefix", "exact"),
            ("with prefix", "caption_prefix", "language"),
            ("by way of English", "caption_pivot", "exact"),
        )
    ]
    run = report["training"]["add_language_lora"]
    return render_run_card(recipe.arguments, recipe.training, run, True, "apache-2.0", texts, scores)


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
        "results": "What florenz-tiny reaches on it; protocol and command: "
        f"[florenz-tiny.json]({HUB}/{TINY}/blob/main/results/florenz-tiny.json).\n\n{markdown([report])}",
    }
    names = ("summary", "picture", "making", "limits", "licence")
    return fill(folder, "dataset", metadata, values | {name: facts[name] for name in names})


def _size_category(rows: int) -> str:
    limits = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    return next((name for limit, name in limits if rows < limit), "1M<n<10M")
