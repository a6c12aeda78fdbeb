"""CIDEr of captions, as the COCO caption evaluation computes it.

`evaluate.load` takes the path of this folder; nothing is downloaded.
"""

from typing import Any

import datasets
import evaluate

from modeling_florenz.evaluation.metrics.caption_scores import cider
from modeling_florenz.evaluation.metrics.segmentation import segment


def _words(predictions: list[str], references: list[list[str]]) -> tuple[list[list[str]], list[list[list[str]]]]:
    candidates = [segment(text, "en", "ptb") for text in predictions]
    return candidates, [[segment(text, "en", "ptb") for text in texts] for texts in references]


class FlorenzCider(evaluate.Metric):
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
        score, each = cider(*_words(predictions, references))
        return {"cider": 100 * score, "cider_each": [100 * value for value in each]}
