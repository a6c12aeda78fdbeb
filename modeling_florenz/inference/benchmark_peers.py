"""Time other models beside a Florenz: Florence-2 in the same shape, and any image-text-to-text model."""

from functools import partial
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, Florence2Config, Florence2ForConditionalGeneration

from ..checkpoint.settings import sentence
from ..configuration_florenz import FlorenzConfig
from .benchmark import BEAMS, Work, name_search, search


_WORDS = 51328  # of Florence-2's vocabulary, with places and tasks


def florence_works(
    config: FlorenzConfig, image_size: int, prompt: int, tokens: int, device: torch.device, dtype: torch.dtype
) -> dict[str, Work]:
    """List what is timed of native Florence-2 with random weights, in the shape of a Florenz that has its decoder.

    It is timed with its own vocabulary and with that of the Florenz. Without such a decoder, the list is empty.
    """
    text = config.text_config.to_dict()
    if text["model_type"] != "bart":
        return {}
    works: dict[str, Work] = {}
    for words in (_WORDS, text["vocab_size"]):
        encoder = {**config.encoder_config.to_dict(), **{key: text[key] for key in text if key.startswith("decoder_")}}
        settings = Florence2Config(
            vision_config=config.vision_config.to_dict(),
            text_config={**encoder, "model_type": "bart", "vocab_size": words},
            image_token_id=_WORDS - 1,
        )
        model = Florence2ForConditionalGeneration._from_config(settings, dtype=dtype).eval().to(device)
        ids = torch.full((1, config.num_image_tokens(image_size) + prompt), _WORDS - 1)
        ids[:, -prompt:] = torch.arange(10, 10 + prompt)
        inputs = {
            "input_ids": ids.to(device),
            "attention_mask": torch.ones_like(ids).to(device),
            "pixel_values": torch.rand(1, 3, image_size, image_size).to(device, dtype),
        }
        works |= _works(f"Florence-2, {words:,} words", model, inputs, tokens)
    return works


def other_works(
    name: str, revision: str | None, image: Image.Image, tokens: int, dtype: torch.dtype
) -> dict[str, Work]:
    """List what is timed of any image-text-to-text model of transformers.

    Args:
        name: folder or repository; its own code is not run.
        revision: branch, tag or commit of the repository.
        image: what it is shown.

    Raises:
        ValueError: there is no such model, or it cannot be loaded.
    """
    try:
        model = AutoModelForImageTextToText.from_pretrained(name, revision=revision or "main", dtype=dtype).eval()
        processor = AutoProcessor.from_pretrained(name, revision=revision or "main")
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ValueError(f"{name} cannot be timed beside it: {sentence(error)}") from None
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    if getattr(processor, "chat_template", None):
        parts = [{"type": "image"}, {"type": "text", "text": "Describe the image in one sentence."}]
        text = processor.apply_chat_template([{"role": "user", "content": parts}], add_generation_prompt=True)
        inputs = processor(images=[image], text=[text], return_tensors="pt")
    else:
        inputs = processor(images=[image], return_tensors="pt")
    return _works(name, model, dict(inputs.to(model.device, dtype)), tokens)


def _works(name: str, model: Any, inputs: dict[str, Any], tokens: int) -> dict[str, Work]:
    works = {}
    for beams in BEAMS:
        told = f"{name}, {name_search(beams)}"
        write = partial(_write, model, inputs, beams)
        works[f"image to first token, {told}"] = Work(partial(write, 1))
        works[f"token, {told}"] = Work(partial(write, tokens + 1), tokens, f"image to first token, {told}")
    return works


@torch.inference_mode()
def _write(model: Any, inputs: dict[str, Any], beams: int, tokens: int) -> None:
    model.generate(**inputs, **search(model.get_output_embeddings().weight.shape[0], tokens, beams))
