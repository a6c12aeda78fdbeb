"""Decoding reads everything it was given: images, prompts, encoder states, masks and windows."""

import threading
from typing import Any

import pytest
import torch
from decoding import BOS, NEW_TOKENS, PROMPTS, START, assert_same, decode, encode, prefix_of, row_of
from tiny_models import IMAGE_TOKENS, KINDS, tiny_model
from tiny_processor import build_tiny_processor
from transformers import TextIteratorStreamer
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.gemma2.modeling_gemma2 import eager_attention_forward

from modeling_florenz import FlorenzForConditionalGeneration
from modeling_florenz.modeling_florenz import grouped_attention_forward


@pytest.mark.parametrize("num_beams", [1, 4])
def test_each_text_depends_on_its_own_image(model, inputs, num_beams) -> None:
    pixel_values = inputs["pixel_values"].clone()
    pixel_values[1] = pixel_values[1].flip(-1)
    before = decode(model, inputs, num_beams=num_beams).sequences
    after = decode(model, inputs | {"pixel_values": pixel_values}, num_beams=num_beams).sequences
    assert [torch.equal(*rows) for rows in zip(before, after, strict=True)] == [True, False, True]


@pytest.mark.parametrize("given", ["pixel_values", "input_ids"])
@pytest.mark.parametrize("num_beams", [1, 4])
def test_an_image_or_a_prompt_alone_is_enough(model, inputs, given, num_beams) -> None:
    part = {given: inputs[given]}
    cached = decode(model, part, num_beams=num_beams)
    assert_same(cached, decode(model, part, num_beams=num_beams, use_cache=False))
    assert not torch.equal(cached.sequences, decode(model, inputs, num_beams=num_beams).sequences)
    # This part and nothing else was encoded: no id is made up beside an image.
    states, mask = encode(model, part)
    assert_same(cached, decode(model, {"encoder_outputs": states, "attention_mask": mask}, num_beams=num_beams))


@pytest.mark.parametrize("num_beams", [1, 4])
@pytest.mark.parametrize("prompt", [True, False], ids=["beside a prompt", "alone"])
def test_finished_image_tokens_give_what_their_images_give(model, inputs, prompt, num_beams) -> None:
    part = inputs if prompt else {"pixel_values": inputs["pixel_values"]}
    with torch.no_grad():
        finished = {"image": model.get_image_features(inputs["pixel_values"])}
    given = {name: value for name, value in part.items() if name != "pixel_values"} | {"mm_encoder_outputs": finished}
    expected = decode(model, part, num_beams=num_beams)
    assert_same(expected, decode(model, given, num_beams=num_beams))
    assert_same(expected, decode(model, given, num_beams=num_beams))  # what was given is left as it was


def test_finished_encoder_states_stand_before_finished_image_tokens(model, inputs) -> None:
    other = {"image": model.get_image_features(inputs["pixel_values"].flip(-1))}
    texts = []
    for more in ({}, {"mm_encoder_outputs": other}):
        states, mask = encode(model, inputs)
        texts.append(decode(model, {"encoder_outputs": states, "attention_mask": mask, **more}, num_beams=4))
    assert_same(*texts)


def test_without_a_mask_the_pads_of_the_encoder_are_masked_and_not_those_of_the_decoder(model, inputs) -> None:
    masked = decode(model, inputs)
    ids = {name: inputs[name] for name in ("input_ids", "pixel_values")}
    assert_same(masked, decode(model, ids))
    # The decoder's pad is the encoder's bos: `generate`'s own guess would mask the wrong ids.
    assert model.generation_config.pad_token_id == model.config.encoder_config.bos_token_id == ids["input_ids"][0, 0]
    wrong = ids["input_ids"].ne(model.generation_config.pad_token_id).long()
    assert not torch.equal(masked.sequences, decode(model, ids | {"attention_mask": wrong}).sequences)


def test_prompts_may_come_as_embeddings(model, inputs) -> None:
    embedded = inputs | {"inputs_embeds": model.model.encoder.embed_tokens(inputs["input_ids"])}
    del embedded["input_ids"]
    assert_same(decode(model, inputs), decode(model, embedded))


@pytest.mark.parametrize("num_beams", [1, 4])
def test_encoder_states_made_before_give_the_same(model, inputs, num_beams) -> None:
    expected = decode(model, inputs, num_beams=num_beams)
    for mask in (encode(model, inputs)[1], inputs["attention_mask"]):  # of everything, or of the prompt alone
        given = {"encoder_outputs": encode(model, inputs)[0], "attention_mask": mask}
        assert_same(expected, decode(model, given, num_beams=num_beams))


@pytest.mark.parametrize("cache", ["dynamic", "static"])
@pytest.mark.parametrize("num_beams", [1, 4])
def test_encoder_states_are_projected_once_for_a_whole_text(model, inputs, cache, num_beams) -> None:
    lengths: dict[str, list[int]] = {}

    def listen(name: str) -> Any:
        return lambda _, arguments: lengths.setdefault(name, []).append(arguments[0].shape[1])

    hooks = [
        module.register_forward_pre_hook(listen(name))
        for name, module in model.model.decoder.named_modules()
        if name.endswith(("k_proj", "v_proj"))
    ]
    try:
        outputs = decode(model, inputs, num_beams=num_beams, cache_implementation=cache)
    finally:
        for hook in hooks:
            hook.remove()
    is_cross = {name: "cross_attn" in name or "encoder_attn" in name for name in lengths}
    source = IMAGE_TOKENS + PROMPTS[0]
    layers = model.config.text_config.num_hidden_layers
    assert sum(is_cross.values()) == 2 * layers == len(lengths) - 2 * layers
    for name, seen in lengths.items():
        assert seen == ([source] if is_cross[name] else [1] * NEW_TOKENS), name
    assert outputs.cache.get_seq_length() == NEW_TOKENS
    for layer in outputs.cache.cross_attention_cache.layers:
        assert layer.keys.shape[:1] + layer.keys.shape[2:3] == (3, source)  # whatever the number of beams


@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_the_window_of_the_decoder_does_not_cut_the_encoder_states(gemma2, inputs, cache, monkeypatch) -> None:
    assert IMAGE_TOKENS + PROMPTS[0] > gemma2.config.text_config.sliding_window
    expected = decode(gemma2, inputs, use_cache=False).sequences
    assert torch.equal(expected, decode(gemma2, inputs, cache_implementation=cache).sequences)
    monkeypatch.delattr(FlorenzForConditionalGeneration, "_prepare_cache_for_generation")
    with pytest.raises(RuntimeError):
        decode(gemma2, inputs, cache_implementation=cache)


def test_the_window_of_the_decoder_limits_what_it_sees_of_its_own_text(inputs) -> None:
    narrow, wide = (tiny_model("gemma2", sliding_window=window) for window in (8, 64))
    narrow, wide = decode(narrow, inputs).logits, decode(wide, inputs).logits
    torch.testing.assert_close(narrow[:8], wide[:8])
    assert not torch.allclose(narrow[8], wide[8], atol=1e-3)


def test_attentions_are_recorded_while_decoding(inputs) -> None:
    for kind in KINDS:
        model = tiny_model(kind)
        model.set_attn_implementation("eager")
        outputs = decode(model, inputs, new_tokens=5, output_attentions=True, output_hidden_states=True)
        decoder, source = model.config.text_config, IMAGE_TOKENS + PROMPTS[0]
        assert len(outputs.cross_attentions) == len(outputs.decoder_attentions) == 5
        for step, (cross, own) in enumerate(zip(outputs.cross_attentions, outputs.decoder_attentions, strict=True)):
            assert len(cross) == len(own) == decoder.num_hidden_layers
            assert {weights.shape for weights in cross} == {(3, decoder.num_attention_heads, 1, source)}
            assert {weights.shape for weights in own} == {(3, decoder.num_attention_heads, 1, step + 1)}
            for weights in cross:
                torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
                assert (weights[2, ..., IMAGE_TOKENS + PROMPTS[2] :] == 0).all()
        assert len(outputs.encoder_attentions) == 2
        assert len(outputs.decoder_hidden_states[0]) == decoder.num_hidden_layers + 1


@pytest.mark.parametrize("search", [{}, {"num_beams": 4}, {"cache_implementation": "static"}], ids=str)
def test_half_precision_decodes_close_to_full_precision(model, inputs, search) -> None:
    half = tiny_model(model.config.text_config.model_type).bfloat16()
    outputs = decode(half, inputs, new_tokens=12, **search)
    assert outputs.sequences.shape == (3, 13)
    assert outputs.cache.cross_attention_cache.layers[0].keys.dtype == torch.bfloat16
    states, mask = encode(model, inputs)
    exact = decode(model, {"encoder_outputs": states, "attention_mask": mask}, new_tokens=1).logits[0]
    states = BaseModelOutput(last_hidden_state=encode(model, inputs)[0].last_hidden_state.bfloat16())
    rounded = decode(half, {"encoder_outputs": states, "attention_mask": mask}, new_tokens=1).logits[0]
    assert 0 < (exact - rounded).norm() / exact.norm() < 0.1


@pytest.mark.parametrize("prefix", [None, prefix_of(START, BOS, 50, 60, rows=1)], ids=["whole", "behind a prefix"])
def test_a_stream_gives_the_text_of_generate(model, inputs, prefix) -> None:
    tokenizer = build_tiny_processor().tokenizer
    settings = {"max_new_tokens": 24, "no_repeat_ngram_size": 2, "do_sample": False, "decoder_input_ids": prefix}
    # Only ids that the tokenizer knows, so that each of them shows in the text.
    settings["suppress_tokens"] = [id for id in range(model.config.text_config.vocab_size) if id >= len(tokenizer)]
    alone = row_of(inputs, 0) | {name: value for name, value in settings.items() if value is not None}
    expected = model.generate(**alone)[0, 1 if prefix is None else prefix.shape[1] :]
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, timeout=600, skip_special_tokens=True)
    thread = threading.Thread(target=model.generate, kwargs=alone | {"streamer": streamer})
    thread.start()
    pieces = list(streamer)
    thread.join()
    assert "".join(pieces) == tokenizer.decode(expected, skip_special_tokens=True) != ""
    assert len(pieces) > 1


def test_attention_to_encoder_states_gives_what_gemma2s_own_attention_gives(gemma2) -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(3, heads, 5, 16, generator=generator) for heads in (4, 2, 2))
    mask = torch.zeros(3, 1, 5, 5).masked_fill(torch.arange(5) > torch.tensor([4, 2, 0]).view(3, 1, 1, 1), -1e9)
    layer = gemma2.model.decoder.layers[0].cross_attn
    for arguments in ({"attention_mask": mask, "softcap": 0.5}, {"attention_mask": None}):
        found, expected = (
            attend(layer, query, key, value, scaling=0.25, **arguments)
            for attend in (grouped_attention_forward, eager_attention_forward)
        )
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other)


def test_generate_is_the_one_of_transformers() -> None:
    assert "generate" not in FlorenzForConditionalGeneration.__dict__
