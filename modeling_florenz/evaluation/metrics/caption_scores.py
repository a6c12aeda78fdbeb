"""BLEU-1 to 4, ROUGE-L and CIDEr of captions with several references, as the COCO caption evaluation defines them."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np


Tokens = Sequence[str]
# The constants of the original, which avoid a division by zero for a caption without a match.
_TINY, _SMALL = 1e-15, 1e-9
_BETA = 1.2  # weight of recall in ROUGE-L
_SIGMA = 6.0  # spread of CIDEr's penalty on lengths


def check_pairs(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> None:
    """Raise `ValueError` for lists that do not belong together."""
    if not candidates or len(candidates) != len(references):
        raise ValueError(
            f"{len(candidates)} candidates came with {len(references)} lists of references: give one each"
        )
    for number, texts in enumerate(references):
        if not texts or isinstance(texts, str):
            raise ValueError(f"candidate {number} has no list of references: give at least one")


def ngrams(tokens: Tokens, longest: int = 4) -> Counter[tuple[str, ...]]:
    """Count all runs of one to `longest` words."""
    return Counter(
        tuple(tokens[start : start + size])
        for size in range(1, longest + 1)
        for start in range(len(tokens) - size + 1)
    )


def bleu_statistics(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> np.ndarray:
    """Count what BLEU needs, one row per candidate: its length, the closest reference's, matches and guesses by size.

    The BLEU of several candidates is computed from the sum of their rows.
    """
    check_pairs(candidates, references)
    rows = np.zeros((len(candidates), 10))
    for row, candidate, texts in zip(rows, candidates, references, strict=True):
        row[0] = len(candidate)
        row[1] = min((abs(len(text) - len(candidate)), len(text)) for text in texts)[1]
        allowed: Counter[tuple[str, ...]] = Counter()
        for text in texts:
            allowed |= ngrams(text)
        for gram, count in ngrams(candidate).items():
            row[1 + len(gram)] += min(count, allowed[gram])
        for size in range(1, 5):
            row[5 + size] = max(0, len(candidate) - size + 1)
    return rows


def bleu_from_statistics(totals: np.ndarray) -> list[float]:
    """Return BLEU-1 to 4 of summed `bleu_statistics`, from 0 to 1."""
    length, closest = totals[0], totals[1]
    ratio = (length + _TINY) / (closest + _SMALL)
    penalty = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    product, scores = 1.0, []
    for size in range(1, 5):
        product *= (totals[1 + size] + _TINY) / (totals[5 + size] + _SMALL)
        scores.append(product ** (1 / size) * penalty)
    return scores


def corpus_bleu(
    candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]
) -> tuple[list[float], list[list[float]]]:
    """Score captions by BLEU-1 to 4 (Papineni et al. 2002), with the closest reference length.

    Args:
        candidates: one list of words per caption.
        references: one list of references per caption, each a list of words.

    Returns:
        BLEU-1 to 4 of all captions together, and of each alone; from 0 to 1.

    Raises:
        ValueError: the lists do not belong together.

    Example:

    ```python
    >>> scores, _ = corpus_bleu([["a", "dog", "runs"]], [[["a", "dog", "runs"], ["dogs"]]])
    >>> round(float(scores[0]), 3)
    1.0
    ```
    """
    rows = bleu_statistics(candidates, references)
    return bleu_from_statistics(rows.sum(0)), [bleu_from_statistics(row) for row in rows]


def rouge_l(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> tuple[float, list[float]]:
    """Score captions by ROUGE-L (Lin 2004): best precision and best recall over the references, recall weighted 1.2.

    Returns:
        the mean, and the score of each caption; from 0 to 1.
    """
    check_pairs(candidates, references)
    scores = []
    for candidate, texts in zip(candidates, references, strict=True):
        common = [_common_length(text, candidate) for text in texts]
        precision = max(length / max(1, len(candidate)) for length in common)
        recall = max(length / max(1, len(text)) for length, text in zip(common, texts, strict=True))
        if precision and recall:
            scores.append((1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision))
        else:
            scores.append(0.0)
    return sum(scores) / len(scores), scores


def _common_length(first: Tokens, second: Tokens) -> int:
    """Return the length of the longest common subsequence."""
    row = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for column, other in enumerate(second, start=1):
            above = row[column]
            row[column] = diagonal + 1 if word == other else max(above, row[column - 1])
            diagonal = above
    return row[-1]


def cider(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> tuple[float, list[float]]:
    """Score captions by CIDEr-D (Vedantam et al. 2015), document frequencies from these references.

    Returns:
        the mean, and the score of each caption; from 0 to 10, which papers multiply by 100.
    """
    check_pairs(candidates, references)
    counted = [[ngrams(text) for text in texts] for texts in references]
    documents = Counter(gram for texts in counted for gram in set().union(*texts))
    log_images = math.log(float(len(counted)))
    idf = {gram: log_images - math.log(count) for gram, count in documents.items()}

    def vector(counts: Counter[tuple[str, ...]]) -> tuple[list[dict[tuple[str, ...], float]], list[float], int]:
        weights: list[dict[tuple[str, ...], float]] = [{} for _ in range(4)]
        for gram, count in counts.items():
            weights[len(gram) - 1][gram] = count * idf.get(gram, log_images)
        norms = [math.sqrt(sum(value * value for value in part.values())) for part in weights]
        # The original uses the number of word pairs as a text's length.
        return weights, norms, sum(count for gram, count in counts.items() if len(gram) == 2)

    scores = []
    for candidate, texts in zip(candidates, counted, strict=True):
        mine, my_norms, my_length = vector(ngrams(candidate))
        total = 0.0
        for counts in texts:
            other, norms, length = vector(counts)
            penalty = math.exp(-((my_length - length) ** 2) / (2 * _SIGMA**2))
            for size in range(4):
                if my_norms[size] and norms[size]:
                    shared = sum(
                        min(weight, other[size][gram]) * other[size][gram]
                        for gram, weight in mine[size].items()
                        if gram in other[size]
                    )
                    total += penalty * shared / (my_norms[size] * norms[size])
        scores.append(10 * total / 4 / len(texts))
    return sum(scores) / len(scores), scores
