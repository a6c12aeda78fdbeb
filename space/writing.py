"""Write captions piece by piece in one or more languages, so that a reader can stop at any point."""

import threading
from collections.abc import Iterator
from typing import Any

import torch
from PIL import Image
from transformers import StoppingCriteria, TextIteratorStreamer

from modeling_florenz.inference.captioner import Captioner


class _Stopped(StoppingCriteria):
    def __init__(self, stop: threading.Event) -> None:
        self.stop = stop

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), self.stop.is_set(), device=input_ids.device)


def write_captions(
    captioner: Captioner, image: Image.Image, languages: list[str], task: str, prefix: bool
) -> Iterator[dict[str, str]]:
    """Yield the texts so far by language, greedy; the image goes through the vision tower once.

    Closing the iterator stops the model at its next word.

    Raises:
        ValueError: the model does not know the task, the language or its prefix.
    """
    texts = dict.fromkeys(languages, "")
    stop = threading.Event()
    features = None
    try:
        for language in languages:
            inputs = captioner.processor(images=image, task=task, language=language, prefix=prefix)
            inputs = dict(inputs.to(captioner.device))
            pixels = inputs.pop("pixel_values")
            if features is None:
                with torch.inference_mode():
                    features = captioner.model.get_image_features(pixels)
            for piece in _pieces(captioner, inputs | {"mm_encoder_outputs": {"image": features}}, stop):
                text = (texts[language] + piece).lstrip()
                texts[language] = text[:1].upper() + text[1:]
                yield dict(texts)
            texts[language] = texts[language].rstrip()
        yield dict(texts)
    finally:
        stop.set()


def _pieces(captioner: Captioner, inputs: dict[str, Any], stop: threading.Event) -> Iterator[str]:
    streamer = TextIteratorStreamer(captioner.processor.tokenizer, skip_prompt=True, skip_special_tokens=True)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with torch.inference_mode():
                captioner.model.generate(
                    **inputs,
                    streamer=streamer,
                    num_beams=1,
                    early_stopping=False,
                    do_sample=False,
                    stopping_criteria=[_Stopped(stop)],
                )
        except BaseException as error:
            failures.append(error)
            streamer.end()

    worker = threading.Thread(target=run, name="florenz-writing", daemon=True)
    worker.start()
    yield from filter(None, streamer)
    worker.join()
    if failures:
        raise failures[0]
