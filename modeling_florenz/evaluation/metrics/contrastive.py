"""Accuracy on contrastive pairs, as CoMMuTE defines it."""

import math
from collections.abc import Sequence


def contrastive_accuracy(correct: Sequence[float], incorrect: Sequence[float]) -> float:
    """Return the share of pairs whose right text has the strictly lower perplexity, from 0 to 1.

    A tie is wrong, and so is a perplexity that is not a number. On pairs that appear in both orders, a scorer that is
    blind to the image gets one half right, and a constant one gets nothing.

    Raises:
        ValueError: the lists differ in length or are empty.

    Example:

    ```python
    >>> contrastive_accuracy([1.5, 3.0, 2.0], [2.0, 2.0, 2.0])
    0.3333333333333333
    ```
    """
    if not correct or len(correct) != len(incorrect):
        raise ValueError(f"{len(correct)} right texts came with {len(incorrect)} wrong ones: give one each")
    pairs = zip(correct, incorrect, strict=True)
    return sum(not math.isnan(right) and right < wrong for right, wrong in pairs) / len(correct)
