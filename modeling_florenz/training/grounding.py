"""Hide words of a source, so that its translation has to look at the image (grounded translation)."""

import random
import re


HIDDEN = "something"
# Words that carry the grammar and not the picture: hiding them would leave nothing to translate.
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


def hide_words(source: str, probability: float, rng: random.Random) -> str:
    """Replace content words of an English text, each with a probability, by "something"; neighbours melt into one.

    Args:
        source: the English text.
        probability: share of the content words to hide, from 0 to 1.
        rng: decides; the same state hides the same words.

    Example:

    ```python
    >>> hide_words("A man with a bat.", 1.0, random.Random(0))
    'A something with a something.'
    ```
    """
    pieces: list[str] = []
    end = 0
    for match in _WORD.finditer(source):
        hide = match[0].lower() not in _FUNCTION_WORDS and rng.random() < probability
        between = source[end : match.start()]
        if hide and pieces and pieces[-1] == HIDDEN and between == " ":
            end = match.end()
            continue
        pieces += [between, HIDDEN if hide else match[0]]
        end = match.end()
    return "".join([*pieces, source[end:]])


def ground(source: str, grounding: float, hidden_sources: float, rng: random.Random) -> str:
    """Hide the whole source with probability `hidden_sources`, else each content word with `grounding`."""
    if rng.random() < hidden_sources:
        return HIDDEN
    return hide_words(source, grounding, rng) if grounding else source
