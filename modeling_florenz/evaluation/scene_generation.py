"""Compute the image tokens of emoji scenes once, and generate many texts from them."""

from collections.abc import Sequence

import torch
from PIL import Image
from transformers.modeling_outputs import BaseModelOutputWithPooling

from ..data.emoji_scenes.world import EmojiWorld, Scene
from ..modeling_florenz import FlorenzForConditionalGeneration
from ..processing_florenz import FlorenzProcessor, florenz_image_processor


def image_tokens(model: FlorenzForConditionalGeneration, world: EmojiWorld, scenes: Sequence[Scene]) -> torch.Tensor:
    """Return the image tokens `(scenes, tokens, width)` of scenes."""
    return tokens_of_images(model, [world.render(scene) for scene in scenes])


def tokens_of_images(model: FlorenzForConditionalGeneration, images: Sequence[Image.Image]) -> torch.Tensor:
    """Return the image tokens `(images, tokens, width)` of images of one size."""
    prepare = florenz_image_processor(images[0].width)
    model.eval()
    pieces = []
    with torch.inference_mode():
        for start in range(0, len(images), 100):
            pixel_values = prepare(list(images[start : start + 100]), return_tensors="pt")["pixel_values"]
            tokens = model.get_image_features(pixel_values.to(model.device)).pooler_output
            assert tokens is not None
            pieces.append(tokens)
    return torch.cat(pieces)


@torch.inference_mode()
def generate(
    model: FlorenzForConditionalGeneration,
    processor: FlorenzProcessor,
    image_features: torch.Tensor,
    task: str,
    languages: Sequence[str],
    sources: Sequence[str] | None = None,
    prefix: bool | str = False,
) -> list[str]:
    """Write one text per row, greedily, at most 64 tokens long.

    Args:
        image_features: computed image tokens `(rows, image, width)`.
        languages: target language, row by row; the same for all rows if a prefix is asked for.
        sources: what to translate, row by row.
        prefix: words the texts start with, which are not returned; True takes the language's.
    """
    grey = Image.new("RGB", (32, 32), (128, 128, 128))
    image_features = image_features.to(model.device)
    batch_size = 1000 if model.device.type == "cuda" else 100
    texts: list[str] = []
    model.eval()
    for start in range(0, len(image_features), batch_size):
        batch = slice(start, start + batch_size)
        inputs = processor(
            images=grey,  # stands in for the computed features: a caption needs an image
            text=None if sources is None else list(sources[batch]),
            task=task,
            language=list(languages[batch]),
            prefix=prefix,
            image_size=32,
        )
        del inputs["pixel_values"]
        inputs = inputs.to(model.device)
        shown = {"image": BaseModelOutputWithPooling(pooler_output=image_features[batch])}
        ids = model.generate(**inputs, mm_encoder_outputs=shown, num_beams=1, max_new_tokens=64)
        texts += processor.decode_generated(ids, inputs.get("decoder_input_ids"))
    return texts
