"""Turn predictions into scores with intervals; no model is needed for it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..data.emoji_scenes.world import EmojiWorld
from .metrics.bootstrap import interval
from .metrics.caption_scores import bleu_from_statistics, bleu_statistics, cider, rouge_l
from .metrics.language_identification import LanguageIdentifier
from .metrics.meteor import meteor
from .metrics.scenes import SceneScorer, normalise
from .metrics.segmentation import segment
from .metrics.translation_scores import sacrebleu_score


Sampled = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class Scores:
    """Hold the scores of one part: values from 0 to 100, their 95 % intervals, signatures, and items to draw from.

    `sampled` has, for each measure, a function that returns its value for drawn indices, from which intervals and
    comparisons are computed.
    """

    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    signatures: dict[str, str]
    sampled: dict[str, Sampled]


@dataclass(frozen=True)
class Scoring:
    """Describe how predictions in one language are scored.

    Args:
        language: the one asked for, as ISO 639-1 code.
        segmentation: of captions into words.
        candidates: languages among which that of a text is identified.
        prefix: whether the caption prefix was given and is not part of the texts.
        meteor: also measure METEOR of captions, with Java.
    """

    language: str
    segmentation: str = "ptb"
    candidates: tuple[str, ...] = ()
    prefix: bool = False
    meteor: bool = False


def score(kind: str, rows: Sequence[dict[str, Any]], predictions: Mapping[Any, Any], scoring: Scoring) -> Scores:
    """Score the predictions of one kind.

    Args:
        kind: `translation`, `caption`, `contrast`, `scene`, `exact` or `loss`.
        rows: without their images.
        predictions: by the keys of the rows.
    """
    found = [predictions[row["key"]] for row in rows]
    if kind == "contrast":
        return score_contrasts([entry["correct"] for entry in found], [entry["incorrect"] for entry in found])
    if kind == "loss":
        return score_losses([entry["loss"] for entry in found])
    texts, targets = [entry["text"] for entry in found], [row["target"] for row in rows]
    if kind == "scene":
        return score_scenes(texts, [row["scene"] for row in rows], scoring)
    if kind == "exact":
        return score_exact(texts, targets)
    if kind == "translation":
        return score_translations(texts, targets, scoring.language)
    return score_captions(texts, [row["references"] for row in rows], scoring)


def score_captions(texts: Sequence[str], references: Sequence[Sequence[str]], scoring: Scoring) -> Scores:
    """Score captions: CIDEr, BLEU-4, ROUGE-L, share in the language asked for, and METEOR if wanted.

    The share is left out for languages that cannot be identified.
    """
    language, method = scoring.language, scoring.segmentation
    candidates = [segment(text, language, method) for text in texts]
    words = [[segment(text, language, method) for text in row] for row in references]
    statistics = bleu_statistics(candidates, words)
    rouge, rouge_each = rouge_l(candidates, words)
    cider_d, cider_each = cider(candidates, words)

    def bleu(drawn: np.ndarray) -> float:
        return 100 * bleu_from_statistics(statistics[drawn].sum(0))[3]

    values = {"cider": 100 * cider_d, "bleu_4": bleu(np.arange(len(texts))), "rouge_l": 100 * rouge}
    each = {"cider": 100 * np.asarray(cider_each), "rouge_l": 100 * np.asarray(rouge_each)}
    identifier = LanguageIdentifier((*scoring.candidates, language))
    if identifier.knows(language):
        each["language"] = np.asarray([100.0 * identifier.is_in(text, language) for text in texts])
        values["language"] = float(each["language"].mean())
    if scoring.meteor:
        joined = [[" ".join(text) for text in row] for row in words]
        overall, found = meteor([" ".join(text) for text in candidates], joined)
        values["meteor"] = 100 * overall
        each["meteor"] = 100 * np.asarray(found)
    return _finish(values, each, {"segmentation": method}, bleu_4=bleu)


def score_translations(texts: Sequence[str], references: Sequence[str], language: str) -> Scores:
    """Score translations: sacreBLEU and chrF with their signatures, and how many equal the reference."""
    found = sacrebleu_score(texts, references, language)
    exact = _equal(texts, references)
    statistics = _sacrebleu_statistics(texts, references, language)

    def bleu(drawn: np.ndarray) -> float:
        return _sacrebleu_of(statistics[drawn].sum(0))

    values = {"bleu": found["bleu"], "chrf": found["chrf"], "exact": float(exact.mean())}
    signatures = {"bleu": found["bleu_signature"], "chrf": found["chrf_signature"]}
    return _finish(values, {"exact": exact}, signatures, bleu=bleu)


def score_exact(texts: Sequence[str], references: Sequence[str]) -> Scores:
    """Score by how many texts equal the reference after NFKC, case folding and folding of white space."""
    return _means({"exact": _equal(texts, references)})


def score_contrasts(correct: Sequence[float], incorrect: Sequence[float]) -> Scores:
    """Score contrastive pairs by accuracy: strictly lower perplexity, ties are wrong."""
    return _means({"accuracy": np.asarray([100.0 * (a < b) for a, b in zip(correct, incorrect, strict=True)])})


def score_losses(losses: Sequence[float]) -> Scores:
    """Average cross-entropies, in nats per token."""
    return _means({"loss": np.asarray(losses, dtype=float)})


def score_scenes(texts: Sequence[str], scenes: Sequence[Any], scoring: Scoring) -> Scores:
    """Score captions or translations of emoji scenes by the world's own names."""
    scorer = SceneScorer(EmojiWorld())
    found = [
        scorer.score(scene, scoring.language, text, scoring.prefix) for scene, text in zip(scenes, texts, strict=True)
    ]
    return _means({name: np.asarray([100 * scores[name] for scores in found]) for name in found[0]})


def _means(each: dict[str, np.ndarray]) -> Scores:
    return _finish({name: float(scores.mean()) for name, scores in each.items()}, each, {})


def _finish(
    values: dict[str, float], each: dict[str, np.ndarray], signatures: dict[str, str], **sampled: Sampled
) -> Scores:
    draws: dict[str, Sampled] = {**sampled, **{name: partial(_mean_of, scores) for name, scores in each.items()}}
    items = len(next(iter(each.values())))
    intervals = {name: interval(draw, items) for name, draw in draws.items()} if items > 1 else {}
    return Scores(values, intervals, signatures, draws)


def _mean_of(scores: np.ndarray, drawn: np.ndarray) -> float:
    return float(scores[drawn].mean())


def _equal(texts: Sequence[str], references: Sequence[str]) -> np.ndarray:
    return np.asarray([100.0 * (normalise(a) == normalise(b)) for a, b in zip(texts, references, strict=True)])


def _sacrebleu_statistics(texts: Sequence[str], references: Sequence[str], language: str) -> np.ndarray:
    from sacrebleu.metrics import BLEU

    metric = BLEU(tokenize="zh" if language == "zh" else "13a", effective_order=False)
    # One row per sentence: lengths, matches, guesses, as corpus BLEU sums them.
    rows = []
    for text, reference in zip(texts, references, strict=True):
        found = metric.corpus_score([text], [[reference]])
        rows.append([found.sys_len, found.ref_len, *found.counts, *found.totals])
    return np.asarray(rows, dtype=float)


def _sacrebleu_of(totals: np.ndarray) -> float:
    from sacrebleu.metrics import BLEU

    length, reference, *counts = (int(value) for value in totals)
    return BLEU.compute_bleu(counts[:4], counts[4:], length, reference, smooth_method="exp").score
