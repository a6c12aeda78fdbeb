"""Load models of other makers: safetensors only, none of their code, on the GPU if there is one."""

from functools import cache
from typing import Any

import torch

from ..checkpoint.settings import sentence
from ..data.emoji_scenes.world import EmojiWorld


def load_model(model_class: Any, processor_class: Any, name: str, **options: Any) -> tuple[Any, Any]:
    """Load a model for inference, and what prepares its inputs.

    Raises:
        ValueError: there is no such model, or it needs code of its own.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = "auto" if device == "cuda" else torch.float32
    try:
        processor = processor_class.from_pretrained(name, trust_remote_code=False, **options)
        model = model_class.from_pretrained(name, trust_remote_code=False, use_safetensors=True, dtype=dtype)
    except Exception as error:  # a folder that is not a model raises many kinds
        raise ValueError(f"the model {name} could not be read: {sentence(error)}") from None
    return model.eval().to(device), processor


@cache
def world() -> EmojiWorld:
    """Return the world of the emoji scenes, loaded once."""
    return EmojiWorld()
