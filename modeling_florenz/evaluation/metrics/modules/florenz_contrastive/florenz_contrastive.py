"""Accuracy on contrastive pairs, as CoMMuTE defines it: strictly lower perplexity, ties are wrong.

`evaluate.load` takes the path of this folder; nothing is downloaded.
"""

import datasets
import evaluate

from modeling_florenz.evaluation.metrics.contrastive import contrastive_accuracy


class FlorenzContrastive(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        value = datasets.Value("float32")
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            inputs_description="predictions: perplexities of the right texts; references: of the wrong ones.",
            features=datasets.Features({"predictions": value, "references": value}),
        )

    def _compute(self, predictions: list[float], references: list[float]) -> dict[str, float]:
        return {"accuracy": 100 * contrastive_accuracy(predictions, references)}
