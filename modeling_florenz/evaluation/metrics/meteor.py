"""METEOR 1.5 through its Java program, where Java and pycocoevalcap are installed."""

import shutil
from collections.abc import Sequence


def meteor(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[float, list[float]]:
    """Score captions, words joined by spaces, with English rules as the COCO caption evaluation does.

    Returns:
        the score of all captions, and of each; from 0 to 1.

    Raises:
        ValueError: Java or pycocoevalcap is missing, or the lists do not belong together.
    """
    if shutil.which("java") is None:
        raise ValueError("METEOR is a Java program: install a Java runtime, such as default-jre-headless")
    try:
        from pycocoevalcap.meteor.meteor import Meteor
    except ImportError:
        raise ValueError("METEOR comes with pycocoevalcap: pip install pycocoevalcap") from None
    if not candidates or len(candidates) != len(references):
        raise ValueError(
            f"{len(candidates)} candidates came with {len(references)} lists of references: give one each"
        )
    scorer = Meteor()
    try:
        numbered = range(len(candidates))
        score, each = scorer.compute_score(
            {number: list(references[number]) for number in numbered},
            {number: [candidates[number]] for number in numbered},
        )
    finally:
        scorer.meteor_p.kill()
        scorer.meteor_p.wait()
    return float(score), [float(value) for value in each]
