"""BLEU and chrF of translations by sacreBLEU, with the signatures that make them comparable."""

from collections.abc import Sequence
from typing import Any

from ...extras import install_command


def sacrebleu_score(hypotheses: Sequence[str], references: Sequence[str], language: str) -> dict[str, Any]:
    """Score translations with one reference each: tokenizer zh for Chinese, else 13a.

    Returns:
        `bleu` and `chrf` from 0 to 100, `bleu_signature` and `chrf_signature`.

    Raises:
        ValueError: the lists differ in length or are empty, or sacreBLEU is not installed.

    Example:

    ```python
    >>> round(sacrebleu_score(["Ein Hund läuft im Park."], ["Ein Hund läuft im Park."], "de")["bleu"])
    100
    ```
    """
    try:
        from sacrebleu.metrics import BLEU, CHRF
    except ImportError:
        raise ValueError(f"BLEU of translations needs sacreBLEU: {install_command('eval')}") from None
    if not hypotheses or len(hypotheses) != len(references):
        raise ValueError(f"{len(hypotheses)} translations came with {len(references)} references: give one each")
    bleu, chrf = BLEU(tokenize="zh" if language == "zh" else "13a"), CHRF()
    result = {
        "bleu": bleu.corpus_score(list(hypotheses), [list(references)]).score,
        "chrf": chrf.corpus_score(list(hypotheses), [list(references)]).score,
    }
    return {**result, "bleu_signature": str(bleu.get_signature()), "chrf_signature": str(chrf.get_signature())}
