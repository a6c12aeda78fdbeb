"""Turn predictions into scores with intervals; no model is needed for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.emoji_scenes.world import EmojiWorld
from .benchmarks import BENCHMARKS
from .metrics.bootstrap import interval
from .metrics.caption_scores import bleu_from_statistics, bleu_statistics, cider, rouge_l
from .metrics.language_identification import language_rate
from .metrics.meteor import meteor
from .metrics.scenes import SceneScorer, normalise
from .metrics.segmentation import segment
from .metrics.translation_scores import sacrebleu_score


@dataclass(frozen=True)
class Scores:
    """Hold the scores of one part: values from 0 to 100, their 95 % intervals, signatures, and items to draw from.

    `sampled` gives a measure for drawn indices: what intervals and comparisons are made of.
    """

    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    signatures: dict[str, str]
    sampled: dict[str, Callable[[np.ndarray], float]]


def _finish(
    values: dict[str, float], each: dict[str, Sequence[float]], signatures: dict[str, str], **sampled: Any
) -> Scores:
    draws: dict[str, Callable[[np.ndarray], float]] = dict(sampled)
    for name, scores in each.items():
        array = np.asarray(scores, dtype=float)
        draws[name] = lambda drawn, array=array: float(array[drawn].mean())
    items = len(next(iter(each.values())))
    intervals = {name: interval(draw, items) for name, draw in draws.items()} if items > 1 else {}
    return Scores(values, intervals, signatures, draws)


def score_captions(
    texts: Sequence[str], references: Sequence[Sequence[str]], language: str, method: str, with_meteor: bool = False
) -> Scores:
    """Score captions: CIDEr, BLEU-4, ROUGE-L, share in the asked language, and METEOR if asked for."""
    candidates = [segment(text, language, method) for text in texts]
    words = [[segment(text, language, method) for text in row] for row in references]
    statistics = bleu_statistics(candidates, words)
    rouge, rouge_each = rouge_l(candidates, words)
    score, score_each = cider(candidates, words)

    def bleu(drawn: np.ndarray) -> float:
        return 100 * bleu_from_statistics(statistics[drawn].sum(0))[3]

    values = {"cider": 100 * score, "bleu_4": bleu(np.arange(len(texts))), "rouge_l": 100 * rouge}
    each: dict[str, Sequence[float]] = {"cider": 100 * np.asarray(score_each), "rouge_l": 100 * np.asarray(rouge_each)}
    each["language"] = [100 * language_rate([text], language) for text in texts]
    values["language"] = float(np.mean(each["language"]))
    if with_meteor:
        joined = [[" ".join(text) for text in row] for row in words]
        overall, found = meteor([" ".join(text) for text in candidates], joined)
        values["meteor"] = 100 * overall
        each["meteor"] = 100 * np.asarray(found)
    return _finish(values, each, {"segmentation": method}, bleu_4=bleu)


def score_translations(texts: Sequence[str], references: Sequence[str], language: str) -> Scores:
    """Score translations: sacreBLEU and chrF with their signatures, and how many equal the reference."""
    found = sacrebleu_score(texts, references, language)
    exact = [100.0 * (normalise(a) == normalise(b)) for a, b in zip(texts, references, strict=True)]
    statistics = _sacrebleu_statistics(texts, references, language)

    def bleu(drawn: np.ndarray) -> float:
        return _sacrebleu_of(statistics[drawn].sum(0))

    values = {"bleu": found["bleu"], "chrf": found["chrf"], "exact": float(np.mean(exact))}
    signatures = {"bleu": found["bleu_signature"], "chrf": found["chrf_signature"]}
    return _finish(values, {"exact": exact}, signatures, bleu=bleu)


def score_contrasts(correct: Sequence[float], incorrect: Sequence[float]) -> Scores:
    """Score contrastive pairs by accuracy: strictly lower perplexity, ties wrong."""
    right = [100.0 * (a < b) for a, b in zip(correct, incorrect, strict=True)]
    return _finish({"accuracy": float(np.mean(right))}, {"accuracy": right}, {})


def score_scenes(texts: Sequence[str], rows: Sequence[dict[str, Any]], language: str, prefix: bool) -> Scores:
    """Score captions or translations of emoji scenes by the world's own names."""
    scorer = SceneScorer(EmojiWorld())
    found = [scorer.score(row["scene"], language, text, prefix) for row, text in zip(rows, texts, strict=True)]
    each = {name: [100 * score[name] for score in found] for name in found[0]}
    return _finish({name: float(np.mean(scores)) for name, scores in each.items()}, each, {})


def score_part(
    name: str,
    split: str,
    language: str,
    rows: Sequence[dict[str, Any]],
    entries: dict[str, Any],
    prefix: bool,
    method: str | None,
    with_meteor: bool = False,
) -> Scores:
    """Score the predictions of one part of a benchmark.

    Args:
        rows: of the part, their images unread.
        entries: predictions by key.
        method: word segmentation of captions; the benchmark's own by default.
    """
    found = [entries[row["key"]] for row in rows]
    if "correct" in found[0]:
        return score_contrasts([entry["correct"] for entry in found], [entry["incorrect"] for entry in found])
    if "loss" in found[0]:
        losses = [entry["loss"] for entry in found]
        return _finish({"loss": float(np.mean(losses))}, {"loss": losses}, {})
    texts = [entry["text"] for entry in found]
    if name == "emoji_scenes":
        return score_scenes(texts, rows, language, prefix)
    if rows[0]["task"] == "translate":
        return score_translations(texts, [row["target"] for row in rows], language)
    references = [row["references"] for row in rows]
    return score_captions(texts, references, language, method or BENCHMARKS[name].segmentation, with_meteor)


def _sacrebleu_statistics(texts: Sequence[str], references: Sequence[str], language: str) -> np.ndarray:
    from sacrebleu.metrics import BLEU

    metric = BLEU(tokenize="zh" if language == "zh" else "13a", effective_order=False)
    # One row a sentence: lengths, matches, guesses, as corpus BLEU sums them up.
    rows = []
    for text, reference in zip(texts, references, strict=True):
        score = metric.corpus_score([text], [[reference]])
        rows.append([score.sys_len, score.ref_len, *score.counts, *score.totals])
    return np.asarray(rows, dtype=float)


def _sacrebleu_of(totals: np.ndarray) -> float:
    from sacrebleu.metrics import BLEU

    length, reference, *counts = (int(value) for value in totals)
    return BLEU.compute_bleu(counts[:4], counts[4:], length, reference, smooth_method="exp").score
