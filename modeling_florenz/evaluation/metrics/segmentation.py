"""Cut captions into words before they are scored: by rules, or by stanza as the paper does on XM3600."""

import re
import unicodedata
from functools import cache
from typing import Any

from .ptb import tokenize


METHODS = ("ptb", "words", "stanza")
# What the research code removes from the words of XM3600.
_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~·。、《》，！？；：“”‘’…„–—«»¿¡")
_IDEOGRAPH = r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
_WORD = re.compile(rf"{_IDEOGRAPH}|(?:(?!{_IDEOGRAPH})\w)+(?:['’-](?:(?!{_IDEOGRAPH})\w)+)*")


def segment(text: str, language: str, method: str) -> list[str]:
    """Cut a caption into words.

    Args:
        language: ISO 639-1 code; only stanza uses it.
        method: `ptb`, the English rules of the COCO caption evaluation, which the paper uses for Multi30K and COCO in
            every language; `words`, NFKC, lower case, no punctuation, each Chinese character a word; `stanza`, the
            same after stanza's word segmentation, which the paper uses for XM3600.

    Raises:
        ValueError: the method is unknown, or stanza or its model is not installed.

    Example:

    ```python
    >>> segment("图为狗和猫。", "zh", "words")
    ['图', '为', '狗', '和', '猫']
    ```
    """
    if method == "ptb":
        return tokenize(text).split()
    text = unicodedata.normalize("NFKC", text)
    if method == "words":
        return [word for word in _WORD.findall(text.lower()) if not _PUNCTUATION.issuperset(word)]
    if method == "stanza":
        sentences = _pipeline(language)(text).sentences
        words = ("".join(c for c in token.text if c not in _PUNCTUATION) for s in sentences for token in s.tokens)
        return [word.lower() for word in words if word]
    raise ValueError(f"segmentation must be one of {', '.join(METHODS)}, not {method!r}")


def segmentation_name(method: str) -> str:
    """Return a description of how captions were cut, to be written beside every score."""
    return {
        "ptb": "PTB rules of the COCO caption evaluation, all languages",
        "words": "NFKC, lower case, words by Unicode, Chinese by character",
        "stanza": "NFKC, stanza words, lower case, punctuation removed",
    }[method]


@cache
def _pipeline(language: str) -> Any:
    try:
        import stanza

        name = {"zh": "zh-hans"}.get(language, language)
        return stanza.Pipeline(name, processors="tokenize", download_method=None, verbose=False)
    except ImportError:
        raise ValueError("segmentation by stanza needs stanza: pip install stanza") from None
    except Exception as error:
        raise ValueError(
            f"stanza has no model for {language} here: run stanza.download({language!r}) once ({error})"
        ) from None
