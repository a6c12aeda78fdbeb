"""CoMMuTE: of two translations of an ambiguous sentence, the image tells which is right."""

from typing import Any

from PIL import Image


def doc_to_visual(doc: dict[str, Any]) -> list[Image.Image]:
    return [doc["image"].convert("RGB")]


def doc_to_text(doc: dict[str, Any], lmms_eval_specific_kwargs: dict[str, str]) -> str:
    return lmms_eval_specific_kwargs["prompt"] + doc["source"]


def doc_to_choice(doc: dict[str, Any]) -> list[str]:
    return [doc["incorrect"], doc["correct"]]


def process_results(doc: dict[str, Any], results: list[Any]) -> dict[str, float]:
    incorrect, correct = map(_loss, results)
    return {"accuracy": 100.0 * (correct < incorrect)}  # a tie is wrong


def _loss(answer: tuple[float, bool] | str) -> float:
    # lmms-eval 0.7 hands a model's answer over as text.
    return float(answer.strip("()").split(",")[0]) if isinstance(answer, str) else answer[0]
