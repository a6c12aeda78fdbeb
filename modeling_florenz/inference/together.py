"""Write many texts about the same images in one search."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from .stream import GrowingTexts


if TYPE_CHECKING:
    from .captioner import Captioner


# More rows than this gain nothing: the matrices are then tall enough for every device.
MOST_TEXTS = 64
# Share of a device's memory that a search may take.
_SHARE = 1 / 8
# Square pixels that go through the vision tower together: eight images of the published size.
_TOWER_PIXELS = 8 * 768**2


@dataclass(frozen=True)
class Request:
    """Ask for one text.

    Args:
        image: row of the image among the image tokens.
        task, language, text, prefix: see the processor; `text` is what to translate.
    """

    image: int
    task: str
    language: str
    text: str | None = None
    prefix: bool | str = False


def write_texts(
    captioner: "Captioner",
    features: torch.Tensor | None,
    requests: Sequence[Request],
    num_beams: int = 4,
    watch: Callable[[int, str], None] | None = None,
) -> list[str]:
    """Write a text for each request, whatever tasks and languages they are of, in as few searches as memory allows.

    Args:
        captioner: whose model writes.
        features (`(images, tokens, width)`): image tokens, see `Captioner.image_features`; None for translations
            without images.
        watch: called with a request's number and its text so far, as often as that grows; needs `num_beams=1`.

    Raises:
        ValueError: the model does not know a task, a language or its prefix.

    Example:

    ```python
    >>> features = captioner.image_features(pixel_values)  # doctest: +SKIP
    >>> write_texts(captioner, features, [Request(0, "caption", "en"), Request(0, "caption", "fr")])  # doctest: +SKIP
    ['A picture of dog.', 'Une image : chien.']
    ```
    """
    processor = captioner.processor
    words = [processor.first_words(request.prefix, request.task, request.language) for request in requests]
    given: Any = processor(
        text=[processor.prompt(request.task, request.language, request.text) for request in requests],
        prefix=[word or False for word in words],
    )
    inputs = dict(given)
    prompts = inputs["attention_mask"].sum(1).tolist()
    starts = inputs.get("decoder_attention_mask", inputs.get("decoder_input_ids"))
    prefixes = [0] * len(requests) if starts is None else starts.ne(0).sum(1).tolist()
    # A text without a prefix begins with whatever the model writes first; one with a prefix is given that too.
    # A BART decoder counts positions from the left: prefixes of different lengths cannot be continued together.
    is_bart = captioner.model.config.text_config.model_type == "bart"
    apart = [bool(word) * (length if is_bart else 1) for word, length in zip(words, prefixes, strict=True)]
    order = sorted(range(len(requests)), key=lambda row: (apart[row], prompts[row], row))
    most = texts_at_a_time(captioner.model, (0 if features is None else features.shape[1]) + max(prompts), num_beams)
    texts = [""] * len(requests)
    while order:
        rows = [row for row in order[:most] if apart[row] == apart[order[0]]]
        order = order[len(rows) :]
        part = _cut(inputs, rows, max(prompts[row] for row in rows), apart[rows[0]] > 0)
        seen = None
        if features is not None:
            seen = features[torch.tensor([requests[row].image for row in rows], device=features.device)]
        streamer = None
        if watch is not None:
            streamer = GrowingTexts(captioner.processor, part.get("decoder_input_ids"), rows, watch)
        found = captioner.generate(part, num_beams, seen, streamer)
        for row, text in zip(rows, found, strict=True):
            texts[row] = text
    return texts


def write_captions(
    captioner: "Captioner",
    features: torch.Tensor,
    tasks: Sequence[str],
    languages: Sequence[str],
    prefix: bool | str = False,
    num_beams: int = 4,
    via: str | None = None,
) -> list[dict[tuple[str, str], str]]:
    """Write the captions of images in all tasks and languages together.

    Args:
        features (`(images, tokens, width)`): image tokens, see `image_tokens`.
        tasks, languages: each task is written in each language.
        prefix, num_beams, via: see `Captioner.caption`.

    Returns:
        the captions of each image by task and language.
    """
    images, languages = range(len(features)), list(dict.fromkeys(languages))
    found: list[dict[tuple[str, str], str]] = [{} for _ in images]
    direct = languages if via is None else [via]
    asked = [Request(row, task, code, prefix=prefix) for row in images for task in tasks for code in direct]
    for request, text in zip(asked, write_texts(captioner, features, asked, num_beams), strict=True):
        found[request.image][request.task, request.language] = text
    if via is None:
        return found
    others = [(task, code) for task in tasks for code in languages if code != via]
    # What has no word in English has no translation.
    spoken = [(row, *key) for row in images for key in others if found[row][key[0], via].strip()]
    asked = [Request(row, "translate", code, found[row][task, via]) for row, task, code in spoken]
    texts = write_texts(captioner, features, asked, num_beams) if asked else []
    for row in images:
        found[row] |= dict.fromkeys(others, "")
    for (row, task, code), text in zip(spoken, texts, strict=True):
        found[row][task, code] = text
    return [{key: text for key, text in row.items() if key[1] in languages} for row in found]


def image_tokens(captioner: "Captioner", pixel_values: torch.Tensor) -> torch.Tensor:
    """Run the vision tower on any number of images, few enough of them at a time for its memory.

    Args:
        pixel_values (`(images, 3, size, size)`): as the processor makes them.

    Returns:
        `(images, tokens, width)`.
    """
    at_a_time = max(1, _TOWER_PIXELS // pixel_values[0, 0].numel())
    parts = [captioner.image_features(part.to(captioner.device)) for part in pixel_values.split(at_a_time)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def texts_at_a_time(model: Any, source: int, num_beams: int) -> int:
    """Count the texts that a device can search for at once, from 1 to `MOST_TEXTS`.

    Args:
        source: encoder tokens of a text, image and prompt.
    """
    decoder = model.config.text_config
    if decoder.model_type == "bart":
        layers, width = decoder.decoder_layers, decoder.d_model
    else:
        layers, width = decoder.num_hidden_layers, decoder.num_key_value_heads * decoder.head_dim
    # Keys and values of source and text, and the four copies of the logits that a beam search makes.
    row = 2 * layers * width * (source + 128) * model.dtype.itemsize + 4 * 4 * decoder.vocab_size
    return max(1, min(MOST_TEXTS, int(_SHARE * _memory(model.device)) // (row * num_beams)))


def _memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # Windows does not tell
        return 8 * 2**30


def _cut(inputs: dict[str, torch.Tensor], rows: list[int], prompt: int, prefix: bool) -> dict[str, torch.Tensor]:
    """Take some rows, without what is padding in all of them."""
    part = {name: inputs[name][rows, :prompt] for name in ("input_ids", "attention_mask")}
    if not prefix:
        return part
    mask = inputs.get("decoder_attention_mask", torch.ones_like(inputs["decoder_input_ids"]))[rows]
    length = int(mask.sum(1).max())
    part["decoder_input_ids"] = inputs["decoder_input_ids"][rows, -length:]
    if not mask[:, -length:].all():
        part["decoder_attention_mask"] = mask[:, -length:]
    return part
