"""Render the cards of the published models from one template, facts per size, and the result files."""

from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import torch
from huggingface_hub import EvalResult, ModelCardData

from ..card_template import LANGUAGES, OWNER, PAPER, TAGS, coverage, fill, read_facts, read_results, table
from ..checkpoint.freezing import freeze_as_in_paper
from ..modeling_florenz import FlorenzForConditionalGeneration
from ..sizes import config_from_size


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
_NOTE = (
    "Reported by the paper (arXiv 2503.09443 v1, Table 4) and not measured again here: 4 beams, 128 new tokens at "
    "most; BLEU is sacreBLEU (13a, zh for Chinese), XM3600 is segmented by stanza. Chance on CoMMuTE is 50."
)


class Score(NamedTuple):
    """Hold one score of a model in the paper."""

    task: str
    dataset: str
    metric: str
    value: float


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
    scores = paper_scores(folder, facts["paper_name"] + (" ft" if fine_tuned else ""), fine_tuned)
    metadata = ModelCardData(
        language=LANGUAGES,
        license=facts["license"],
        library_name="transformers",
        pipeline_tag="image-text-to-text",
        base_model=facts["base_model"] if not fine_tuned else f"{OWNER}/florenz-{size}",
        base_model_relation="finetune",
        tags=TAGS + (["gemma-2"] if facts["license"] == "gemma" else []),
        datasets=["spravil/cc12m_ccmatrix_captions_and_translations"],
        metrics=["sacrebleu", "accuracy"],
        model_name=name,
        eval_results=[_eval_result(score) for score in scores],
    )
    rows = [(score.task, score.dataset, score.metric, f"{score.value:.1f}") for score in scores]
    values = {
        "name": name,
        "repository": f"{OWNER}/{name}",
        "summary": _summary(size, variant["kind"], facts["base_model"]),
        "sample": "photo.jpg",
        "source": "A man with a bat.",
        "readings": '["Ein Mann mit Schläger.", "Ein Mann mit Fledermaus."]',
        "coverage": coverage(variant["unseen"]),
        "sizes": _sizes(folder, size, facts),
        "images": common["images"],
        "results": f"{_NOTE}\n\n{table(rows, ('task', 'data', 'metric', 'value'))}",
        "fine_tuning": Template(common["fine_tuning"]).substitute(repository=f"{OWNER}/{name}"),
        "limits": f"{variant['limits'].strip()}\n\n{common['limits']}",
        "training": variant["training"],
        "licence": common["licences"][facts["license"]],
        "dtype": facts["dtype"],
    }
    return fill(folder, "model", metadata, values)


def paper_scores(folder: Path, model: str, fine_tuned: bool) -> list[Score]:
    """Collect what the paper's overview (v1 Table 4) says about a model."""
    tables = read_results(folder, "paper_v1")["tables"]
    found = tables["table_4_fine_tuned" if fine_tuned else "table_4_zero_shot"]
    values = zip(found["columns"], found["rows"][model], strict=True)
    return [Score(*_COLUMNS[column], value) for column, value in values if value is not None]


def _eval_result(score: Score) -> EvalResult:
    return EvalResult(
        task_type="translation" if score.task == "translation" else "image-text-to-text",
        task_name=score.task,
        dataset_type=score.dataset.split()[0].strip(",").lower(),
        # Without a configuration, the Hub's client would file all results of a dataset under the first one's name.
        dataset_config=score.dataset.partition(" ")[2],
        dataset_name=score.dataset,
        metric_type=score.metric.split()[0].lower(),
        metric_name=score.metric,
        metric_value=score.value,
        source_name="arXiv 2503.09443 v1, Table 4, reported by the paper",
        source_url=PAPER,
    )


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
