"""Florenz: image captions and image-aware translation in six languages."""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageTextToText,
    AutoModelForSeq2SeqLM,
    AutoProcessor,
)

from .configuration_florenz import FlorenzConfig
from .modeling_florenz import FlorenzForConditionalGeneration, FlorenzModel
from .processing_florenz import FlorenzProcessor


__version__ = "0.1.0"

AutoConfig.register("florenz", FlorenzConfig)
for _auto_class in (AutoModel, AutoModelForImageTextToText, AutoModelForSeq2SeqLM):
    _auto_class.register(FlorenzConfig, FlorenzForConditionalGeneration)
AutoProcessor.register(FlorenzConfig, FlorenzProcessor)

__all__ = ["FlorenzConfig", "FlorenzForConditionalGeneration", "FlorenzModel", "FlorenzProcessor", "__version__"]
