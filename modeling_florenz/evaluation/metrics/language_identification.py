"""Tell how many texts are in the language that was asked for."""

from collections.abc import Sequence
from functools import cache
from typing import Any


_CANDIDATES = ["en", "de", "fr", "es", "it", "ru", "zh"]


def language_rate(texts: Sequence[str], language: str) -> float:
    """Give the share of texts in a language, from 0 to 1, by py3langid among the languages Florenz writes.

    Raises:
        ValueError: there is no text, or py3langid is not installed.
    """
    if not texts:
        raise ValueError("there is no text whose language could be told: give at least one")
    return sum(bool(text.strip()) and _identifier().classify(text)[0] == language for text in texts) / len(texts)


@cache
def _identifier() -> Any:
    try:
        from py3langid import langid
    except ImportError:
        raise ValueError("telling languages needs py3langid: pip install 'modeling-florenz[eval]'") from None
    langid.set_languages(_CANDIDATES)
    return langid
