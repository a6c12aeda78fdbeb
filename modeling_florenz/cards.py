"""Render the cards of the published models from one template, facts per size, and the result files.

Nothing in a card is a number typed by hand: counts come from the model classes, scores from `hub_cards/results`.
"""

import json
from pathlib import Path
from string import Template
from typing import Any

import torch
import yaml
from huggingface_hub import EvalResult, ModelCardData

from .configuration_florenz import SIZES, FlorenzConfig
from .modeling_florenz import FlorenzForConditionalGeneration
from .training.freezing import freeze_as_in_paper


OWNER = "modeling-florenz"
PAPER = "https://arxiv.org/abs/2503.09443"
LANGUAGES = ["en", "de", "fr", "es", "ru", "zh"]
_TAGS = ["florenz", "image-captioning", "multimodal-translation", "multilingual", "florence-2", "custom_code"]
_LICENCES = {
    "gemma": "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms, and so are "
    "these weights, which derive from it. The parts from Florence-2 are under the MIT licence (`LICENSE`); see `NOTICE`.",
    "mit": "The weights derive from Florence-2 and are under the MIT licence (`LICENSE`). The tokenizer of the decoder is "
    "Gemma's, whose terms are found at ai.google.dev/gemma/terms; see `NOTICE`.",
}
_COVERAGE = {
    False: [("caption", "en, de", "yes"), ("caption", "fr, es, ru, zh", "no: use the prefix")],
    True: [("caption", "en, de", "yes"), ("caption", "fr, es, ru, zh", "yes, machine-translated")],
}
_TRAINING = {
    False: "Pre-training on CC12M images: captions in English and German, made by a captioner and machine translation, and "
    "sentence pairs of CCMatrix from English into German, French, Spanish, Russian and Chinese, attached to images by "
    "CLIP similarity. No caption in French, Spanish, Russian or Chinese.",
    True: "Pre-training as the model without `-ft`; then COCO (Karpathy's split), Multi30K (both tasks), Image Paragraphs and "
    "DOCCI, with machine translations where there are no human ones: captions in six languages, translation into five.",
}
_LIMITS = {
    False: "Before fine-tuning the choice between two translations of an ambiguous word is near chance at every size. "
    "Without a prefix the answer tends to come in a language that had captions; with it, captions in the other languages "
    "are unusable at 0.4b and 1.0b.",
    True: "Fine-tuning lowers the translation scores on CoMMuTE against the model without `-ft`. French, Spanish, Russian and "
    "Chinese captions learned from machine translations and sound like them.",
}


def count_parameters(size: str) -> tuple[int, int]:
    """Count all parameters of a size and those the paper trains, tied ones once."""
    with torch.device("meta"):
        model = FlorenzForConditionalGeneration(FlorenzConfig.from_size(size))
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
    facts = _read_yaml(folder / "facts" / f"{size}.yaml")
    name = f"florenz-{size}" + ("-ft" if fine_tuned else "")
    total, trained = count_parameters(size)
    scores = paper_scores(folder, facts["paper_name"] + (" ft" if fine_tuned else ""), fine_tuned)
    data = ModelCardData(
        language=LANGUAGES,
        license=facts["license"],
        library_name="transformers",
        pipeline_tag="image-text-to-text",
        base_model=facts["base_model"] if not fine_tuned else f"{OWNER}/florenz-{size}",
        base_model_relation="finetune",
        tags=_TAGS + (["gemma-2"] if facts["license"] == "gemma" else []),
        datasets=["spravil/cc12m_ccmatrix_captions_and_translations"],
        metrics=["sacrebleu", "accuracy"],
        model_name=name,
        eval_results=[_eval_result(*score) for score in scores],
    )
    rows = [(*pair, "yes") if len(pair) == 2 else pair for pair in _COVERAGE[fine_tuned]]
    rows.append(("translate", "de, fr, es, ru, zh", "yes"))
    values = {
        "name": name,
        "repository": f"{OWNER}/{name}",
        "summary": _summary(size, facts, fine_tuned),
        "picture": f"![How the parts join](https://huggingface.co/{OWNER}/{name}/resolve/main/architecture.png)",
        "coverage": "\n".join(f"| {' | '.join(row)} |" for row in rows),
        "parameters": f"{total:,}",
        "trained": f"{trained:,}",
        "float32": f"{4 * total / 1e9:.1f}",
        "bfloat16": f"{2 * total / 1e9:.1f}",
        "results": _results(scores),
        "limits": _LIMITS[fine_tuned],
        "training": _TRAINING[fine_tuned],
        "licence": _LICENCES[facts["license"]],
        "decoder": facts["decoder"],
        "dtype": facts["dtype"],
    }
    template = Template((folder / "templates" / "model.md").read_text(encoding="utf-8"))
    try:
        return f"---\n{data.to_yaml()}\n---\n\n{template.substitute(values)}"
    except KeyError as error:
        raise ValueError(f"the template asks for {error}, which no fact gives: add it") from None


def render_all(folder: Path) -> dict[str, str]:
    """Render the cards of all sizes, with and without `-ft`, by file name."""
    return {
        f"florenz-{size}{'-ft' if fine_tuned else ''}.md": render_model_card(folder, size, fine_tuned)
        for size in SIZES
        for fine_tuned in (False, True)
    }


def paper_scores(folder: Path, model: str, fine_tuned: bool) -> list[tuple[str, str, str, float, str]]:
    """Collect the paper's scores of a model: task, data set, metric, value, table of the paper."""
    report = json.loads((folder / "results" / "paper_v1.json").read_text(encoding="utf-8"))
    return [tuple(score) for score in _collect(report, model, fine_tuned)]


def _collect(report: dict[str, Any], model: str, fine_tuned: bool) -> list[tuple[str, str, str, float, str]]:
    raise NotImplementedError


def _eval_result(task: str, dataset: str, metric: str, value: float, table: str) -> EvalResult:
    return EvalResult(
        task_type="translation" if task == "translation" else "image-text-to-text",
        task_name=task,
        dataset_type=dataset.split()[0].lower(),
        dataset_name=dataset,
        metric_type=metric.lower().replace("-", ""),
        metric_name=metric,
        metric_value=value,
        source_name=f"arXiv 2503.09443 v1, {table}, reported by the paper",
        source_url=PAPER,
    )


def _results(scores: list[tuple[str, str, str, float, str]]) -> str:
    rows = ["| task | data | metric | value | from |", "|---|---|---|---|---|"]
    rows += [
        f"| {task} | {data} | {metric} | {value:.1f} | v1, {table} |" for task, data, metric, value, table in scores
    ]
    note = (
        "Reported by the paper (arXiv 2503.09443 v1) and not run again here: 4 beams, 128 new tokens; BLEU is sacreBLEU "
        "(13a, zh for Chinese), CIDEr on XM3600 after stanza segmentation. Accuracy on CoMMuTE has its chance at 50."
    )
    return "\n".join([note, "", *rows])


def _summary(size: str, facts: dict[str, Any], fine_tuned: bool) -> str:
    kind = "fine-tuned on human captions and translations" if fine_tuned else "pre-trained"
    bases = " and ".join(f"[{base}](https://huggingface.co/{base})" for base in facts["base_model"])
    return (
        f"Florenz {size}, {kind}: captions for images in English, German, French, Spanish, Russian and Chinese, and "
        f"translation from English that looks at the image. It is built from {bases}, and is numerically the paper's model "
        f"([arXiv 2503.09443]({PAPER})) in transformers' own classes, with a key-value cache."
    )


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path} does not exist: run florenz card from a clone of the repository")
    return yaml.safe_load(path.read_text(encoding="utf-8"))
