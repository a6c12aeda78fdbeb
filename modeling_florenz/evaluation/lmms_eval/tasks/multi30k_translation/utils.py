"""Translations of Multi30K's descriptions, scored by sacreBLEU as `florenz evaluate` scores them."""

from collections.abc import Iterable
from typing import Any

from PIL import Image
from sacrebleu.metrics import BLEU, CHRF


Pair = tuple[str, str]  # a translation and its reference


def doc_to_visual(doc: dict[str, Any]) -> list[Image.Image]:
    return [doc["image"].convert("RGB")]


def doc_to_text(doc: dict[str, Any], lmms_eval_specific_kwargs: dict[str, str]) -> str:
    return lmms_eval_specific_kwargs["prompt"] + _clean(doc["en"])


def process_results_de(doc: dict[str, Any], results: list[str]) -> dict[str, Pair]:
    return _pair(results[0], doc["de"])


def process_results_fr(doc: dict[str, Any], results: list[str]) -> dict[str, Pair]:
    return _pair(results[0], doc["fr"])


def aggregate_bleu(pairs: Iterable[Pair]) -> float:
    return _score(BLEU(), pairs)


def aggregate_chrf(pairs: Iterable[Pair]) -> float:
    return _score(CHRF(), pairs)


def _score(metric: BLEU | CHRF, pairs: Iterable[Pair]) -> float:
    texts, references = zip(*pairs, strict=True)
    return metric.corpus_score(list(texts), [list(references)]).score


def _pair(text: str, reference: str) -> dict[str, Pair]:
    pair = (text[:1].upper() + text[1:], _clean(reference))
    return {"bleu": pair, "chrf": pair}


def _clean(text: str) -> str:
    return text.replace("\xa0", " ").strip()
