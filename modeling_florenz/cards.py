"""Render the cards of the published models from one template, facts per size, and the result files.

Nothing in a card is a number typed by hand: counts come from the model classes, scores from `hub_cards/results`.
"""

import json
import re
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import torch
import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from .configuration_florenz import SIZES, FlorenzConfig
from .modeling_florenz import FlorenzForConditionalGeneration
from .training.freezing import freeze_as_in_paper


OWNER = "modeling-florenz"
PAPER = "https://arxiv.org/abs/2503.09443"
LANGUAGES = ["en", "de", "fr", "es", "ru", "zh"]
_TAGS = ["florenz", "image-captioning", "multimodal-translation", "multilingual", "florence-2", "custom_code"]
_LICENCES = {
    "gemma": "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms, "
    "and so are "
    "these weights, which derive from it. The parts from Florence-2 are under the MIT licence (`LICENSE`); see "
    "`NOTICE`.",
    "mit": "The weights derive from Florence-2 and are under the MIT licence (`LICENSE`). The tokenizer of the "
    "decoder is "
    "Gemma's, whose terms are found at ai.google.dev/gemma/terms; see `NOTICE`.",
}
_COVERAGE = {
    False: [("caption", "en, de", "yes"), ("caption", "fr, es, ru, zh", "no: use the prefix")],
    True: [("caption", "en, de", "yes"), ("caption", "fr, es, ru, zh", "yes, machine-translated")],
}
_TRAINING = {
    False: "Pre-training on CC12M images: captions in English and German, made by a captioner and machine "
    "translation, and "
    "sentence pairs of CCMatrix from English into German, French, Spanish, Russian and Chinese, attached to images by "
    "CLIP similarity. No caption in French, Spanish, Russian or Chinese.",
    True: "Pre-training as the model without `-ft`; then COCO (Karpathy's split), Multi30K (both tasks), Image "
    "Paragraphs and "
    "DOCCI, with machine translations where there are no human ones: captions in six languages, translation into "
    "five.",
}
_LIMITS = {
    False: "Before fine-tuning the choice between two translations of an ambiguous word is near chance at every size. "
    "Without a prefix the answer tends to come in a language that had captions; with it, captions in the other "
    "languages "
    "are unusable at 0.4b and 1.0b.",
    True: "Fine-tuning lowers the translation scores on CoMMuTE against the model without `-ft`. French, Spanish,"
    " Russian and "
    "Chinese captions learned from machine translations and sound like them.",
}


_M30K, _XM = "Multi30K, mean of test 2016, 2017 and AmbiguousCOCO", "XM3600"
_COLUMNS = {
    "M30K En→De B": ("translation", f"{_M30K}, en-de", "BLEU"),
    "M30K En→Fr B": ("translation", f"{_M30K}, en-fr", "BLEU"),
    "CoMMuTE En→De B": ("translation", "CoMMuTE en-de", "BLEU"),
    "CoMMuTE En→X B": ("translation", "CoMMuTE, mean of de, fr, ru, zh", "BLEU"),
    "Ambig. De acc": ("disambiguation", "CoMMuTE en-de", "accuracy"),
    "Ambig. X acc": ("disambiguation", "CoMMuTE, mean of de, fr, ru, zh", "accuracy"),
    "COCO En C": ("captioning", "COCO Karpathy test, en", "CIDEr"),
    "M30K En C": ("captioning", "Multi30K task 2 test 2016, en", "CIDEr"),
    "M30K De C": ("captioning", "Multi30K task 2 test 2016, de", "CIDEr"),
    "XM En C": ("captioning", f"{_XM} en", "CIDEr"),
    "XM De C": ("captioning", f"{_XM} de", "CIDEr"),
    "XM Unseen C": ("captioning", f"{_XM}, mean of fr, es, ru, zh", "CIDEr"),
    "COCO En CS": ("captioning", "COCO Karpathy test, en", "CLIPScore"),
    "M30K En CS": ("captioning", "Multi30K task 2 test 2016, en", "CLIPScore"),
    "M30K De MCS": ("captioning", "Multi30K task 2 test 2016, de", "multilingual CLIPScore"),
    "XM En CS": ("captioning", f"{_XM} en", "CLIPScore"),
    "XM De MCS": ("captioning", f"{_XM} de", "multilingual CLIPScore"),
    "XM Unseen PC": ("captioning", f"{_XM}, mean of fr, es, ru, zh, with prefix", "CIDEr"),
}


class Score(NamedTuple):
    """Hold one score of a model in the paper."""

    task: str
    dataset: str
    metric: str
    value: float


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
        eval_results=[_eval_result(score) for score in scores],
    )
    rows = [*_COVERAGE[fine_tuned], ("translate", "de, fr, es, ru, zh", "yes")]
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


def paper_scores(folder: Path, model: str, fine_tuned: bool) -> list[Score]:
    """Collect what the paper's overview (v1 Table 4) says of a model."""
    report = json.loads((folder / "results" / "paper_v1.json").read_text(encoding="utf-8"))
    table = report["tables"]["table_4_fine_tuned" if fine_tuned else "table_4_zero_shot"]
    found = []
    for column, value in zip(table["columns"], table["rows"][model], strict=True):
        task, dataset, metric = _COLUMNS[column]
        if value is not None:
            found.append(Score(task, dataset, metric, value))
    return found


def _eval_result(score: Score) -> EvalResult:
    return EvalResult(
        task_type="translation" if score.task == "translation" else "image-text-to-text",
        task_name=score.task,
        dataset_type=score.dataset.split()[0].strip(",").lower(),
        # Without a configuration the Hub's client would put results of one data set under the first one's name.
        dataset_config=score.dataset.partition(" ")[2],
        dataset_name=score.dataset,
        metric_type=score.metric.split()[0].lower(),
        metric_name=score.metric,
        metric_value=score.value,
        source_name="arXiv 2503.09443 v1, Table 4, reported by the paper",
        source_url=PAPER,
    )


def _results(scores: list[Score]) -> str:
    rows = ["| task | data | metric | value |", "|---|---|---|---|"]
    rows += [f"| {score.task} | {score.dataset} | {score.metric} | {score.value:.1f} |" for score in scores]
    note = (
        "Reported by the paper (arXiv 2503.09443 v1, Table 4) and not run again here: 4 beams, at most 128 new "
        "tokens; "
        "BLEU is sacreBLEU (13a, zh for Chinese), XM3600 is cut into words by stanza. Chance on CoMMuTE is 50."
    )
    return "\n".join([note, "", *rows])


def _summary(size: str, facts: dict[str, Any], fine_tuned: bool) -> str:
    kind = "fine-tuned on human captions and translations" if fine_tuned else "pre-trained"
    bases = " and ".join(f"[{base}](https://huggingface.co/{base})" for base in facts["base_model"])
    return (
        f"Florenz {size}, {kind}: captions for images in English, German, French, Spanish, Russian and Chinese, and "
        f"translation from English that looks at the image. It is built from {bases}, and is numerically the "
        f"paper's model "
        f"([arXiv 2503.09443]({PAPER})) in transformers' own classes, with a key-value cache."
    )


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path} does not exist: run florenz card from a clone of the repository")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def check_card(text: str) -> None:
    """Refuse a card whose metadata does not survive reading, or in which a field is unfilled.

    Raises:
        ValueError: what is wrong, in one sentence.
    """
    card = ModelCard(text)
    again = ModelCard(f"---\n{card.data.to_yaml()}\n---\n")
    if again.data.to_dict() != card.data.to_dict():
        raise ValueError("the metadata of the card changes when it is read and written: mend its values")
    for field in ("language", "license", "library_name", "pipeline_tag"):
        if not getattr(card.data, field):
            raise ValueError(f"the card has no {field}: fill it")
    if unfilled := re.findall(r"\$\w+|\{\{.*?\}\}|\bTODO\b|More Information Needed", card.text):
        raise ValueError(f"the card has the unfilled field {unfilled[0]}: fill it")
