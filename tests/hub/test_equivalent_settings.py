"""Settings that scripts for other models pass work, or are answered in one sentence."""

import copy
import logging

import pytest
import torch
from decoding import decode
from tiny_models import KINDS, tiny_config, tiny_inputs, tiny_labels, tiny_model
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


@pytest.mark.parametrize("kind", KINDS)
def test_a_finished_cache_is_continued_where_it_ends(kind):
    model, inputs = tiny_model(kind), tiny_inputs()
    settings = {"suppress_tokens": [0, 1, 2], "no_repeat_ngram_size": 0}
    whole = decode(model, inputs, 20, **settings)
    first = decode(model, inputs, 12, **settings)
    for ids in (first.sequences, torch.cat((first.sequences, whole.sequences[:, 13:16]), dim=1)):
        left = 21 - ids.shape[1]
        rest = decode(model, inputs, left, cache=copy.deepcopy(first.cache), decoder_input_ids=ids, **settings)
        assert torch.equal(rest.sequences, whole.sequences)


@pytest.mark.parametrize("kind", KINDS)
def test_a_finished_cache_without_its_ids_is_refused(kind):
    model, inputs = tiny_model(kind), tiny_inputs()
    first = decode(model, inputs, 4)
    for given in ({}, {"decoder_input_ids": first.sequences[:, :-1]}):
        with pytest.raises(ValueError, match="the cache holds 4 tokens, but decoder_input_ids are [14]: give all ids"):
            decode(model, inputs, 4, cache=copy.deepcopy(first.cache), **given)


@pytest.mark.parametrize("kind", KINDS)
def test_prompt_tuning_puts_its_tokens_before_prompts_from_the_encoders_table(kind):
    peft = pytest.importorskip("peft")
    model, inputs, labels = tiny_model(kind), tiny_inputs(), tiny_labels()
    settings = peft.PromptTuningConfig(
        task_type="SEQ_2_SEQ_LM", num_virtual_tokens=3, token_dim=32, num_layers=2, num_attention_heads=4
    )
    tuned = peft.get_peft_model(copy.deepcopy(model), settings).eval()
    with torch.no_grad():
        found = tuned(**inputs, labels=labels).logits
        virtual = tuned.prompt_encoder["default"].embedding.weight[:3].expand(3, -1, -1)
        embeddings = torch.cat((virtual, model.model.encoder.embed_tokens(inputs["input_ids"])), dim=1)
        mask = torch.cat((torch.ones(3, 3, dtype=torch.long), inputs["attention_mask"]), dim=1)
        given = {"pixel_values": inputs["pixel_values"], "inputs_embeds": embeddings, "attention_mask": mask}
        torch.testing.assert_close(found, model(**given, labels=labels).logits, rtol=1e-5, atol=1e-5)
