"""Say what speaks against a sentence pair or a description: length, language, copies, repetition."""

import re
import unicodedata
from functools import cache

from ..evaluation.metrics.language_identification import LanguageIdentifier
from .recipe import Filters


# A character of these scripts says about as much as three letters.
_DENSE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")
_DISTINCT = 0.3  # share of three letters in a row that are new; in prose it is more than half
_LONG_ENOUGH = 30


def normal_form(text: str) -> str:
    """Return letters and digits alone, in lower case and in their plainest form.

    Example:

    ```python
    >>> normal_form("A dog,  RUNNING!") == normal_form("a Dog running")
    True
    ```
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.sub(r"[\W_]+", " ", text).split())


def wrong_with_text(text: str, language: str, filters: Filters, known: tuple[str, ...]) -> str | None:
    """Return what is wrong with a text, in words that a table can count, or None.

    Args:
        text: in any language.
        language: ISO 639-1 code that it should be in.
        filters: bounds.
        known: languages that it could be in.
    """
    if not text.strip():
        return "empty"
    if weight(text) > filters.max_characters:
        return f"longer than {filters.max_characters:,} characters"
    if repeats(text):
        return "repeats itself"
    if filters.language and not _identifier(known).is_in(text, language) and _identifier(known).knows(language):
        return "in another language"
    return None


def wrong_with_pair(english: str, target: str, language: str, filters: Filters, known: tuple[str, ...]) -> str | None:
    """Return what is wrong with an English text and its translation, or None."""
    if not english.strip() or not target.strip():
        return "empty"
    if len(english) < filters.min_characters:
        return f"English side shorter than {filters.min_characters} characters"
    ratio = weight(target) / weight(english)
    if not 1 / filters.max_ratio <= ratio <= filters.max_ratio:
        return f"one side more than {filters.max_ratio:g} times as long"
    if normal_form(english) == normal_form(target):
        return "copy of the source"
    return wrong_with_text(english, "en", filters, known) or wrong_with_text(target, language, filters, known)


def weight(text: str) -> int:
    """Return the length of a text in letters, with three for a character of Chinese, Japanese or Korean."""
    return len(text) + 2 * len(_DENSE.findall(text))


def repeats(text: str) -> bool:
    """Return whether a text says the same over and over."""
    text = " ".join(text.split())
    if weight(text) < _LONG_ENOUGH:
        return False
    pieces = [text[start : start + 3] for start in range(len(text) - 2)]
    return len(set(pieces)) < _DISTINCT * len(pieces)


@cache
def _identifier(known: tuple[str, ...]) -> LanguageIdentifier:
    return LanguageIdentifier(known)
