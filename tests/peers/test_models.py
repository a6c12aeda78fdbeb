"""The suites of transformers for models and for generation, on both kinds of Florenz."""

import copy
import unittest
from typing import Any, ClassVar

import peers
import pytest
import torch
from tiny_models import IMAGE_SIZE, IMAGE_TOKENS, tiny_config

from modeling_florenz import FlorenzConfig, FlorenzForConditionalGeneration, FlorenzModel


pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("default::FutureWarning")]
models = peers.suite("test_modeling_common")


# The suites look up by these names which class has a loss, and which one reads images.
models.MODEL_MAPPING_NAMES["florenz"] = "FlorenzModel"
models.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES["florenz"] = "FlorenzForConditionalGeneration"


# As wide as the encoder, and with fewer positions than it: the suite has one width and one length for both.
_SMALLER = {"num_hidden_layers": 2, "hidden_size": 32, "head_dim": 8, "max_position_embeddings": 64}


class Tester:
    """Give the suites what they ask for: a tiny configuration and inputs."""

    __test__ = False
    batch_size, seq_length, decoder_seq_length, image_size = 3, 7, 7, IMAGE_SIZE
    num_hidden_layers, num_attention_heads, hidden_size = 2, 4, 32
    is_training = True
    with_image = True

    def __init__(self, kind: str) -> None:
        self.kind = kind

    @property
    def encoder_seq_length(self) -> int:
        return self.seq_length + IMAGE_TOKENS * self.with_image

    def get_config(self) -> FlorenzConfig:
        sizes = {} if self.kind == "bart" else dict(_SMALLER)
        values = tiny_config(self.kind, **sizes).to_dict()
        # The suite enlarges the decoder's vocabulary by 10 and gives the new ids to both sides.
        values["encoder_config"]["vocab_size"] = values["text_config"]["vocab_size"] + 10
        return FlorenzConfig.from_dict(values)

    def prepare_config_and_inputs_for_common(self) -> tuple[FlorenzConfig, dict[str, torch.Tensor]]:
        inputs = {"pixel_values": torch.randn(self.batch_size, 3, IMAGE_SIZE, IMAGE_SIZE)} if self.with_image else {}
        for prefix, length in (("", self.seq_length), ("decoder_", self.decoder_seq_length)):
            inputs[f"{prefix}input_ids"] = torch.randint(4, 99, (self.batch_size, length))
            inputs[f"{prefix}attention_mask"] = torch.ones(self.batch_size, length, dtype=torch.long)
        return self.get_config(), inputs


class ModelSuite(models.ModelTesterMixin, models.GenerationTesterMixin):
    kind: ClassVar[str]
    skips: ClassVar[dict[str, str]] = {
        "test_inputs_embeds_matches_input_ids": "it embeds the prompt with the decoder's table, not the encoder's",
    }
    all_model_classes = (FlorenzModel, FlorenzForConditionalGeneration)
    is_encoder_decoder = True
    _is_composite = True
    skip_test_image_features_output_shape = True  # DaViT's last map is (batch, width, height, width)

    def setUp(self) -> None:
        self.model_tester = Tester(self.kind)
        if reason := self.skips.get(self._testMethodName):
            self.skipTest(reason)

    def _image_features_get_expected_num_attentions(self, model_tester: Any = None) -> int:
        return 10  # two in each of five blocks

    def _image_features_get_expected_num_hidden_states(self, model_tester: Any = None) -> int:
        return 6

    def _check_generate_outputs(self, output: Any, config: Any, **kwargs: Any) -> None:
        # The suite asks the decoder's part whether there is an encoder.
        config = copy.deepcopy(config)
        config.text_config.is_encoder_decoder = True
        super()._check_generate_outputs(output, config, **kwargs)

    def _check_past_key_values_for_generate(
        self, batch_size: int, past_key_values: Any, seq_length: Any, config: Any
    ) -> None:
        if (
            seq_length is None
        ):  # cross-attention: the beams of an input share its keys, which the suite counts by beams
            sources = len(past_key_values.layers[0].keys)
            assert batch_size % sources == 0 and batch_size // sources in (1, 2)
            batch_size = sources
        super()._check_past_key_values_for_generate(batch_size, past_key_values, seq_length, config)

    def test_attention_outputs(self) -> None:
        self.model_tester.with_image = False  # with one there is an output more than the suite counts
        super().test_attention_outputs()


class TestBart(ModelSuite, unittest.TestCase):
    kind = "bart"


class TestGemma2(ModelSuite, unittest.TestCase):
    kind = "gemma2"


def test_the_suite_for_generation_is_there() -> None:
    if not peers.has_generation():
        pytest.skip(f"the suite for generation could not be fetched from {peers.GENERATION}")
