"""Score texts by one measure at a time, as `florenz evaluate` does, for evaluation during training."""

from collections.abc import Sequence
from statistics import mean
from typing import Any

from .metrics.caption_scores import bleu_from_statistics, bleu_statistics, cider
from .metrics.language_identification import LanguageIdentifier
from .metrics.scenes import normalise
from .metrics.segmentation import segment
from .metrics.translation_scores import sacrebleu_score


def score_texts(
    metric: str, rows: Sequence[dict[str, Any]], texts: Sequence[str], candidates: Sequence[str]
) -> float | None:
    """Score what a model wrote about rows of one task and language.

    Args:
        metric: `cider` (of captions), `bleu` (of captions BLEU-4, of translations sacreBLEU), `chrf` (of
            translations), `language_rate`, or `exact`.
        rows: without their images.
        texts: one for each row.
        candidates: ISO 639-1 codes of the languages that a text could be in.

    Returns:
        the score, from 0 to 100 but for CIDEr; None for a language rate of a language that cannot be identified.

    Raises:
        ValueError: the measure is unknown, or needs a library that is not installed.

    Example:

    ```python
    >>> row = {"task": "caption", "language": "de", "target": "Ein Hund.", "references": ["Ein Hund."]}
    >>> score_texts("exact", [row], ["ein Hund."], ["de"])
    100
    ```
    """
    translates, language = rows[0]["task"] == "translate", rows[0]["language"]
    if metric == "exact":
        pairs = zip(texts, (row["target"] for row in rows), strict=True)
        return mean(100 * (normalise(text) == normalise(target)) for text, target in pairs)
    if metric == "language_rate":
        identifier = LanguageIdentifier((*candidates, language))
        if not identifier.knows(language):
            return None
        return mean(100 * identifier.is_in(text, language) for text in texts)
    if translates and metric in ("bleu", "chrf"):
        return sacrebleu_score(texts, [row["target"] for row in rows], language)[metric]
    if metric not in ("cider", "bleu"):
        raise ValueError(f"{metric} is not a measure of {rows[0]['task']}: use another")
    # The English rules cut nothing in scripts without spaces.
    method = "words" if language in ("zh", "ja", "th") else "ptb"
    words = [segment(text, language, method) for text in texts]
    references = [[segment(text, language, method) for text in row["references"]] for row in rows]
    if metric == "cider":
        return 100 * cider(words, references)[0]
    return 100 * bleu_from_statistics(bleu_statistics(words, references).sum(0))[3]
