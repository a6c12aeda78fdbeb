"""Render the cards of the published models from one template, facts per size, and the result files."""

from functools import cache
from pathlib import Path
from string import Template
from typing import Any

import torch
from huggingface_hub import ModelCardData

from ..card_template import (
    LANGUAGES,
    OWNER,
    PAPER,
    TAGS,
    captions_snippet,
    coverage,
    fill,
    read_facts,
    read_results,
    table,
)
from ..checkpoint.freezing import freeze_as_in_paper
from ..modeling_florenz import FlorenzForConditionalGeneration
from ..sizes import config_from_size
from .paper_scores import NOTE, eval_results, paper_scores, scores_table


@cache
def count_parameters(size: str) -> tuple[int, int]:
    """Count all parameters of a size and those that the paper trains; tied ones count once."""
    with torch.device("meta"):
        model = FlorenzForConditionalGeneration(config_from_size(size))
    total = sum(parameter.numel() for parameter in model.parameters())
    freeze_as_in_paper(model)
    return total, sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def render_model_card(folder: Path, size: str, fine_tuned: bool) -> str:
    """Render the card of a published size.

    Args:
        folder: `hub_cards`, with `templates`, `facts` and `results`.
        size: one of the four sizes.
        fine_tuned: the card of the `-ft` variant.

    Raises:
        ValueError: a file is missing or a field of the template has no value.
    """
    facts, common = read_facts(folder, size), read_facts(folder, "common")
    variant = common["variants"]["fine_tuned" if fine_tuned else "pretrained"]
    name = f"florenz-{size}" + ("-ft" if fine_tuned else "")
    repository = f"{OWNER}/{name}"
    base_model = [f"{OWNER}/florenz-{size}"] if fine_tuned else facts["base_model"]
    scores = paper_scores(folder, facts["paper_name"] + (" ft" if fine_tuned else ""), fine_tuned)
    results = eval_results(scores)
    metadata = ModelCardData(
        language=LANGUAGES,
        license=facts["license"],
        library_name="transformers",
        pipeline_tag="image-text-to-text",
        base_model=base_model,
        # What joins two models is a merge to the Hub, however much was trained afterwards.
        base_model_relation="merge" if len(base_model) > 1 else "finetune",
        inference=False,  # the Hub runs no code of a repository
        tags=TAGS + (["gemma-2"] if facts["license"] == "gemma" else []),
        datasets=["spravil/cc12m_ccmatrix_captions_and_translations"],
        metrics=sorted({result.metric_type for result in results}),
        model_name=name,
        eval_results=results,
    )
    snippet = captions_snippet(repository, f'"{repository}"', ", prefix=True" if not fine_tuned else "")
    recipes = [variant["recipes"], *([facts["recipes"]] if "recipes" in facts and not fine_tuned else [])]
    values = {
        "name": name,
        "repository": repository,
        "summary": _summary(size, variant["kind"], facts["base_model"]),
        "showcase": f"{common['showcase'].strip()}\n\n{snippet}",
        "new": f"{variant['new'].strip()}\n{common['new']}",
        "not_for": f"{common['not_for'].strip()}\n{variant['not_for']}",
        "prefix": "" if fine_tuned else ", prefix=True",
        "ways": variant["ways"],
        "source": common["source"],
        "readings": common["readings"],
        "picture": "Which tasks were part of pre-training in which languages",
        "image": "coverage.png",
        "coverage": coverage(variant["unseen"]),
        "sizes": _sizes(folder, size, facts),
        "images": common["images"],
        "results": "\n\n".join([NOTE, scores_table(folder, name, scores, fine_tuned), variant["baselines"]]),
        "fine_tuning": Template("\n".join(recipes)).substitute(repository=repository),
        "limits": f"{variant['limits'].strip()}\n\n{common['limits']}",
        "training": variant["training"],
        "licence": common["licences"][facts["license"]],
        "dtype": facts["dtype"],
    }
    return fill(folder, "model", metadata, values)


def _sizes(folder: Path, size: str, facts: dict[str, Any]) -> str:
    total, trained = count_parameters(size)
    speed = read_results(folder, "size-speed")["sizes"].get(size)
    rows = [
        ("parameters", f"{total:,}"),
        ("trained in the paper", f"{trained:,}"),
        ("decoder", facts["decoder"]),
        ("weights in float32", f"{4 * total / 1e9:.1f} GB"),
        ("weights in bfloat16", f"{2 * total / 1e9:.1f} GB"),
    ]
    if speed is None:
        rows.append(("speed on a CPU", "not measured"))
    else:
        rows.append((f"on 2 threads of a CPU, {speed['dtype']}: memory at most", f"{speed['peak']:.1f} GB"))
        rows.append(("an image, until the first token", f"{speed['image']:.1f} s"))
        rows.append(("each further token", f"{speed['token']:.2f} s"))
    return table(rows)


def _summary(size: str, kind: str, base_model: list[str]) -> str:
    bases = " and ".join(f"[{base}](https://huggingface.co/{base})" for base in base_model)
    return (
        f"Florenz {size}, {kind}: captions for images in English, German, French, Spanish, Russian and Chinese, and "
        f"translation from English that uses the image. It is built from {bases}, and is numerically the paper's "
        f"model ([arXiv 2503.09443]({PAPER})) in transformers' own classes, with a key-value cache."
    )
