"""Captions of Crossmodal-3600, scored as `florenz evaluate` scores them."""

import io
from collections.abc import Iterable
from typing import Any

from PIL import Image

from modeling_florenz.evaluation.metrics.caption_scores import bleu_from_statistics, bleu_statistics, cider, rouge_l
from modeling_florenz.evaluation.metrics.segmentation import segment


Pair = tuple[list[str], list[list[str]]]  # words of a caption and of its references


def doc_to_visual(doc: dict[str, Any]) -> list[Image.Image]:
    image = doc["image"]
    if isinstance(image, dict):  # the Hub's copy holds bytes
        image = Image.open(io.BytesIO(image["bytes"]))
    return [image.convert("RGB")]


def doc_to_text(doc: dict[str, Any], lmms_eval_specific_kwargs: dict[str, str]) -> str:
    return lmms_eval_specific_kwargs["prompt"]


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, Pair]:
    # Cut by words, which needs no language.
    pair = (segment(results[0], "", "words"), [segment(caption.strip(), "", "words") for caption in doc["captions"]])
    return {"cider": pair, "bleu_4": pair, "rouge_l": pair}


def aggregate_cider(pairs: Iterable[Pair]) -> float:
    return 100 * cider(*zip(*pairs, strict=True))[0]


def aggregate_bleu_4(pairs: Iterable[Pair]) -> float:
    return 100 * bleu_from_statistics(bleu_statistics(*zip(*pairs, strict=True)).sum(0))[3]


def aggregate_rouge_l(pairs: Iterable[Pair]) -> float:
    return 100 * rouge_l(*zip(*pairs, strict=True))[0]
