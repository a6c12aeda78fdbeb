"""Settings that scripts for other models pass work, or are answered in one sentence."""

import logging

import pytest
import torch
from tiny_models import tiny_config
from transformers import AutoModel

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.configuration_florenz import FlorenzConfig
from modeling_florenz.modeling_florenz import FlorenzForConditionalGeneration


def test_sdpa_is_for_tower_and_encoder_and_the_soft_capped_decoder_stays_on_eager():
    heard = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())
    logger = logging.getLogger("transformers.modeling_florenz")
    owner = logging.getLogger("modeling_florenz.modeling_florenz")
    for one in (logger, owner):
        one.addHandler(handler)
    try:
        model = AutoModel.from_pretrained(BUNDLED_MODEL, attn_implementation="sdpa")
    finally:
        for one in (logger, owner):
            one.removeHandler(handler)
    parts = model.model
    chosen = [part.config._attn_implementation for part in (parts.vision_tower, parts.encoder, parts.decoder)]
    assert chosen == ["sdpa", "sdpa", "eager"]
    assert len(heard) <= 1 and all("no soft cap" in words for words in heard)
    plain = AutoModel.from_pretrained(BUNDLED_MODEL)
    prompt = {"input_ids": torch.tensor([[0, 50, 60, 70, 2]])}
    settings = {"num_beams": 1, "max_new_tokens": 8}
    assert torch.equal(model.generate(**prompt, **settings), plain.generate(**prompt, **settings))


@pytest.mark.parametrize("encoder_layers", [1, 2, 5])
def test_a_bart_decoder_of_any_depth_generates_with_its_cache(encoder_layers):
    values = tiny_config("bart").to_dict()
    values["text_config"] |= {"encoder_layers": encoder_layers, "decoder_layers": 3}
    torch.manual_seed(0)
    model = FlorenzForConditionalGeneration(FlorenzConfig.from_dict(values)).eval()
    prompt = {"input_ids": torch.tensor([[5, 6, 7, 2]])}
    cached = model.generate(**prompt, num_beams=1, max_new_tokens=6)
    assert torch.equal(cached, model.generate(**prompt, num_beams=1, max_new_tokens=6, use_cache=False))
