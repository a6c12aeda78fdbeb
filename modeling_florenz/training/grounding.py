"""Hide words of a source, so that only the image tells what they say (grounded translation)."""

import random
import re

from ..data.hiding import Hiding


HIDDEN = "something"
# Words of grammar, which the picture does not show: hiding them would leave nothing to translate.
_FUNCTION_WORDS = frozenset(
    "a about above across after against all along also am among an and another any are around as at away back be "
    "because been before behind being below beneath beside besides between both but by can could did do does doing "
    "down during each either every few for from front had has have having he her here hers herself him himself his "
    "how i if in inside into is it its itself just like many may me more most much must my near next no nor not of "
    "off on one onto or other others our out outside over own past per she should so some such than that the their "
    "theirs them then there these they this those through to together too toward towards two under until up upon us "
    "very was we were what when where which while who whom whose why will with within without would yet you "
    "your".split()
)
_WORD = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")


def hide_words(source: str, hiding: Hiding, language: str, rng: random.Random) -> str:
    """Replace content words of an English text by "something"; adjacent hidden words become one.

    Args:
        source: the English text.
        hiding: which content words to hide; its `things` are words in lower case.
        language: ISO 639-1 code of the language that the text is translated into.
        rng: source of randomness; the same state hides the same words.

    Example:

    ```python
    >>> hide_words("A man with a bat.", Hiding("independent", 1.0), "de", random.Random(0))
    'A something with a something.'
    ```
    """
    words = [match for match in _WORD.finditer(source) if match[0].lower() not in _FUNCTION_WORDS]
    hidden = hiding.choose([match[0].lower() for match in words], language, rng)
    pieces: list[str] = []
    end = 0
    for match in (match for match, hide in zip(words, hidden, strict=True) if hide):
        between = source[end : match.start()]
        if not (pieces and between == " "):
            pieces += [between, HIDDEN]
        end = match.end()
    return "".join([*pieces, source[end:]])


def ground(source: str, hiding: Hiding, hidden_sources: float, language: str, rng: random.Random) -> str:
    """Hide the whole source with probability `hidden_sources`, else what `hiding` says."""
    if rng.random() < hidden_sources:
        return HIDDEN
    return hide_words(source, hiding, language, rng)
