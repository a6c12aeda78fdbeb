"""The suite of transformers for processors, on the processor of Florenz."""

import unittest
from typing import Any, ClassVar

import peers
import pytest
from tiny_processor import build_tiny_processor
from tokenizers import processors

from modeling_florenz.processing_florenz import FlorenzProcessor


pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("default::FutureWarning")]
processing = peers.suite("test_processing_common")


NO_OFFSETS = "offsets of tokens in the text are not made: no text of an assistant is learned from a chat"
ONE_IMAGE = "a batch has one image for each row or none at all: image tokens need no place in the text"
OWN_SETTINGS = "prompts are padded and cut by the processor's settings, whatever a saved tokenizer's are"


class TestProcessor(processing.ProcessorTesterMixin, unittest.TestCase):
    processor_class = FlorenzProcessor
    skips: ClassVar[dict[str, str]] = {
        "test_apply_chat_template_assistant_mask": NO_OFFSETS,
        "test_processor_text_has_no_visual": ONE_IMAGE,
        "test_subprocessor_defaults_preserved_by_kwargs_0_images": OWN_SETTINGS,
    }

    @classmethod
    def _setup_image_processor(cls) -> Any:
        return build_tiny_processor().image_processor

    @classmethod
    def _setup_tokenizer(cls) -> Any:
        # The suite compares prompts with what `tokenizer` makes of them: here both sides have one vocabulary.
        tokenizer = build_tiny_processor().encoder_tokenizer
        ends = [(token, tokenizer.convert_tokens_to_ids(token)) for token in ("<s>", "</s>")]
        template = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
        tokenizer.backend_tokenizer.post_processor = template
        return tokenizer

    _setup_encoder_tokenizer = _setup_tokenizer

    def get_processor(self, use_tiny_ckpt: bool = True) -> FlorenzProcessor:
        processor = super().get_processor(use_tiny_ckpt)
        processor.load_images = True  # the chats of the suite name files
        return processor

    def setUp(self) -> None:
        if reason := self.skips.get(self._testMethodName):
            self.skipTest(reason)
