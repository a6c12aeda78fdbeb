"""Split, finish and cut sentences: what stands between a model's answer and a text to learn from."""

import re
from functools import cache
from typing import Any

from ..extras import install_command


SEPARATOR = "###"
_ENDS, _CLOSING = ".!?。！？…", "\"'“”‘’»›«‹)）」』》]"
_HASHES, _BRACKETS = "#＃", "(（"


def split_sentences(text: str, language: str) -> list[str]:
    """Split a text into sentences without spaces around them; none is empty.

    Raises:
        ValueError: sentencex is not installed.

    Example:

    ```python
    >>> split_sentences("Dr. Smith came. He left!", "en")
    ['Dr. Smith came.', 'He left!']
    ```
    """
    return [sentence.strip() for sentence in _splitter()(language, text) if sentence.strip()]


@cache
def _splitter() -> Any:
    try:
        import sentencex
    except ImportError:
        raise ValueError(f"splitting sentences needs sentencex: {install_command('synthesis')}") from None
    return sentencex.segment


def with_context(caption: str, description: str) -> str:
    """Put a description behind a caption, so that a translator knows what the caption is about."""
    return f"{caption} {SEPARATOR} ({description})"


def cut_context(text: str, caption: str) -> str | None:
    """Return the caption's part of a translation with context.

    Marks that are in the caption itself are not taken for the separator.

    Returns:
        None if the separator was lost or nothing is before it: the caption is then translated alone.

    Example:

    ```python
    >>> cut_context("Ein Hund. ### (Das Bild zeigt einen Hund.)", "A dog.")
    'Ein Hund.'
    ```
    """
    marks = [mark for mark in (*_HASHES, *_BRACKETS) if not _has_alike(caption, mark)]
    places = [place for mark in marks if (place := text.find(mark)) >= 0]
    if not places:
        return None
    return text[: min(places)].strip() or None


def _has_alike(caption: str, mark: str) -> bool:
    return any(other in caption for group in (_HASHES, _BRACKETS) if mark in group for other in group)


def finish_sentence(text: str, language: str) -> str | None:
    """End a text with one full stop, unless it ends in another mark; blanks become single spaces.

    Returns:
        None if nothing is left.

    Example:

    ```python
    >>> finish_sentence("一只狗。", "zh"), finish_sentence("Ein Hund", "de"), finish_sentence(" ", "de")
    ('一只狗。', 'Ein Hund.', None)
    ```
    """
    text = " ".join(text.split())
    if not re.search(r"\w", text):
        return None
    full_stop = "。" if language in ("zh", "ja") else "."
    # One stop or two of any kind are one; three are a pause.
    body = text.rstrip(".。 ")
    stops = text[len(body) :].replace(" ", "")
    if 0 < len(stops) < 3:
        # Another mark, such as `!`, needs none behind it.
        return body if body[-1] in _ENDS else body + full_stop
    if stops:
        return text
    return text if text.rstrip(_CLOSING)[-1:] in _ENDS else text + full_stop


def upper_first(text: str) -> str:
    """Write the first letter of a text large, and leave all others as they are."""
    return text[:1].upper() + text[1:]


def one_paragraph(text: str) -> str:
    """Turn line breaks and blanks into single spaces, and write the first letter large."""
    return upper_first(" ".join(text.split()))
