"""BLEU-1 to 4 of captions, as the COCO caption evaluation computes it.

`evaluate.load` takes the path of this folder; nothing is downloaded.
"""

from typing import Any

import datasets
import evaluate

from modeling_florenz.evaluation.metrics.caption_scores import corpus_bleu
from modeling_florenz.evaluation.metrics.segmentation import segment


def _words(predictions: list[str], references: list[list[str]]) -> tuple[list[list[str]], list[list[list[str]]]]:
    candidates = [segment(text, "en", "ptb") for text in predictions]
    return candidates, [[segment(text, "en", "ptb") for text in texts] for texts in references]


class FlorenzBleu(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features(
            {"predictions": datasets.Value("string"), "references": datasets.Sequence(datasets.Value("string"))}
        )
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            inputs_description="predictions: captions; references: a list of captions for each.",
            features=features,
        )

    def _compute(self, predictions: list[str], references: list[list[str]]) -> dict[str, Any]:
        scores, _ = corpus_bleu(*_words(predictions, references))
        return {f"bleu_{size}": 100 * score for size, score in enumerate(scores, start=1)}
