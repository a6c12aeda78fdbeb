"""Write texts piece by piece, so that a reader can watch and leave in the middle."""

import contextvars
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import StoppingCriteria, TextIteratorStreamer
from transformers.generation import BaseStreamer
from transformers.modeling_outputs import BaseModelOutputWithPooling

from ..data.images import open_image


if TYPE_CHECKING:
    from .captioner import Captioner, ImageSource


class _ReaderLeft(StoppingCriteria):
    def __init__(self) -> None:
        self.left = threading.Event()

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        # A reader that still holds the stream when the program ends leaves with it.
        stop = self.left.is_set() or not threading.main_thread().is_alive()
        return torch.full((input_ids.shape[0],), stop, dtype=torch.bool, device=input_ids.device)


class GrowingTexts(BaseStreamer):
    """Report how the texts of a greedy batch grow; transformers' own streamers take one row.

    Args:
        processor: of the model.
        decoder_input_ids: the prefixes, if there are any; they are not part of the texts.
        rows: what each row of the batch is called.
        watch: called with a row's name and its whole text so far, whenever characters were added to it.
    """

    def __init__(
        self,
        processor: Any,
        decoder_input_ids: torch.Tensor | None,
        rows: Sequence[int],
        watch: Callable[[int, str], None],
    ) -> None:
        self._processor, self._prefix, self._rows, self._watch = processor, decoder_input_ids, rows, watch
        self._ids: list[torch.Tensor] = []
        self._texts = [""] * len(rows)

    def put(self, value: torch.Tensor) -> None:
        """Take the first ids `(batch, length)`, then one id of each row `(batch,)` at a time."""
        self._ids.append(value if value.ndim == 2 else value[:, None])
        if len(self._ids) == 1:
            return
        texts = self._processor.decode_generated(torch.cat(self._ids, dim=1), self._prefix)
        for row, text in enumerate(texts):
            # A character of several tokens is not one before the last of them.
            if text != self._texts[row] and text.startswith(self._texts[row]) and not text.endswith("\ufffd"):
                self._texts[row] = text
                self._watch(self._rows[row], text)

    def end(self) -> None:
        """Do nothing: the texts are what `generate` returns."""


def with_features(inputs: Mapping[str, Any], features: torch.Tensor) -> dict[str, Any]:
    """Put the finished image tokens `(batch, image, d_model)` in the place of the images."""
    rest = {name: value for name, value in inputs.items() if name != "pixel_values"}
    return {**rest, "mm_encoder_outputs": {"image": BaseModelOutputWithPooling(pooler_output=features)}}


def stream_text(captioner: "Captioner", inputs: Mapping[str, Any]) -> Iterator[str]:
    """Yield a text piece by piece while the model writes it in a thread of its own (greedy).

    Closing the iterator stops the model at its next word; nobody has to wait for it.

    Args:
        captioner: whose model writes.
        inputs: what its `generate` takes, for one row.

    Raises:
        Exception: whatever the model raises.
    """
    streamer = TextIteratorStreamer(captioner.processor.tokenizer, skip_prompt=True, skip_special_tokens=True)
    reader = _ReaderLeft()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with torch.inference_mode():
                captioner.model.generate(
                    **inputs,
                    **captioner.guidance(inputs),
                    streamer=streamer,
                    num_beams=1,
                    early_stopping=False,
                    do_sample=False,
                    stopping_criteria=[reader],
                )
        except BaseException as error:
            failures.append(error)
            streamer.end()

    # Not a daemon: Python would end it in the midst of a tensor, and torch the whole process with it.
    # In the caller's context: hooks of the model may ask for whom it works.
    worker = threading.Thread(target=contextvars.copy_context().run, args=(run,), name="florenz-stream")
    worker.start()
    try:
        yield from filter(None, streamer)
    finally:
        reader.left.set()
    worker.join()
    if failures:
        raise failures[0]


def stream_captions(
    captioner: "Captioner",
    image: "ImageSource",
    languages: Sequence[str] | None = None,
    task: str = "caption",
    prefix: bool | str = False,
    via: str | None = None,
) -> Iterator[dict[str, str]]:
    """Yield the captions so far by language, as they are written (greedy); see `Captioner.caption_languages`.

    The image goes through the vision tower once. Closing the iterator stops the model at its next word.

    Raises:
        ValueError: the model does not know the task, a language or its prefix, or cannot translate from `via`.

    Example:

    ```python
    >>> for texts in stream_captions(Captioner(), "photo.jpg", ["en", "de"]):  # doctest: +SKIP
    ...     print(texts)
    ```
    """
    languages = captioner.languages if languages is None else list(languages)
    captioner.check_request(languages, task, via)
    picture = open_image(image) if isinstance(image, str | Path) else image
    texts = dict.fromkeys(languages, "")
    features = None
    source = ""
    for language in languages if via is None else [via, *(code for code in languages if code != via)]:
        if via in (None, language):
            inputs = captioner.processor(images=picture, task=task, language=language, prefix=prefix)
        elif source:
            inputs = captioner.processor(text=source, task="translate", language=language)
        else:
            continue
        inputs = inputs.to(captioner.device)
        if features is None:
            features = captioner.image_features(inputs["pixel_values"])
        text = ""
        for piece in stream_text(captioner, with_features(inputs, features)):
            text = (text + piece).lstrip()
            text = text[:1].upper() + text[1:]
            if language in texts:
                texts[language] = text
                yield dict(texts)
        text = text.rstrip()
        if language in texts:
            texts[language] = text
        if language == via:
            source = text
    yield dict(texts)
