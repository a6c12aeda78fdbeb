"""Build a processor with the tokenizers of the published models, from the reference data beside the checkout."""

import lzma
import shutil
from pathlib import Path

import pytest
from processor_calls import SHARED
from transformers import AutoTokenizer

from modeling_florenz.processing_florenz import FlorenzProcessor, florenz_image_processor


def build_real_processor(folder: Path) -> FlorenzProcessor:
    """Build the processor, with what it unpacks in an empty folder; skip the test without reference data."""
    if not SHARED.exists():
        pytest.skip(f"reference data is not at {SHARED}")
    gemma = folder / "gemma2"
    gemma.mkdir()
    packed = (SHARED / "data/tokenizers/gemma2/tokenizer.json.xz").read_bytes()
    gemma.joinpath("tokenizer.json").write_bytes(lzma.decompress(packed))
    shutil.copy(SHARED / "data/tokenizers/gemma2/tokenizer_config.json", gemma)
    encoder = AutoTokenizer.from_pretrained(SHARED / "data/tokenizers/florence2")
    tokens = ["<od>", "</od>", "<ocr>", "</ocr>", *(f"<loc_{i}>" for i in range(1000)), "<cap>", "</cap>", "<sep>"]
    encoder.add_special_tokens({"extra_special_tokens": tokens})
    return FlorenzProcessor(florenz_image_processor(), AutoTokenizer.from_pretrained(gemma), encoder)
