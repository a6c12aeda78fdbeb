"""Check that decoding gives the same ids whatever way it is run, and that it reads everything it was given."""

import threading
from typing import Any

import pytest
import torch
from tiny_models import IMAGE_TOKENS, KINDS, tiny_inputs, tiny_model
from tiny_processor import build_tiny_processor
from torch._dynamo.utils import counters
from transformers import CompileConfig, TextIteratorStreamer
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.gemma2.modeling_gemma2 import eager_attention_forward

from modeling_florenz import FlorenzForConditionalGeneration
from modeling_florenz.modeling_florenz import grouped_attention_forward


PROMPTS = (9, 6, 4)  # lengths without padding
START, BOS = 1, 2  # ids of the decoder's vocabulary
NEW_TOKENS = 40  # five times the sliding window


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest) -> FlorenzForConditionalGeneration:
    return tiny_model(request.param)


@pytest.fixture(scope="module")
def gemma2() -> FlorenzForConditionalGeneration:
    return tiny_model("gemma2")


@pytest.fixture
def inputs() -> dict[str, torch.Tensor]:
    return tiny_inputs()


def decode(model: FlorenzForConditionalGeneration, inputs: dict, new_tokens: int = NEW_TOKENS, **settings: Any) -> Any:
    # No early end, no repeated pair and no special ids: random models would otherwise write one id over and over.
    fixed = {"min_new_tokens": new_tokens, "max_new_tokens": new_tokens, "no_repeat_ngram_size": 2}
    fixed["suppress_tokens"] = [0, START, BOS]
    outputs = {"return_dict_in_generate": True, "output_logits": True, "output_scores": True}
    return model.generate(**inputs, **{"do_sample": False, **fixed, **outputs, **settings})


def assert_same(one: Any, other: Any) -> None:
    torch.testing.assert_close(one.sequences, other.sequences, rtol=0, atol=0)
    if "sequences_scores" in one:  # beams
        torch.testing.assert_close(one.sequences_scores, other.sequences_scores, rtol=1e-4, atol=1e-4)
    else:
        torch.testing.assert_close(torch.stack(one.logits), torch.stack(other.logits), rtol=1e-4, atol=1e-4)


def row_of(inputs: dict[str, torch.Tensor], row: int) -> dict[str, torch.Tensor]:
    alone = {name: value[row : row + 1] for name, value in inputs.items()}
    return {name: value if value.ndim == 4 else value[:, : PROMPTS[row]] for name, value in alone.items()}


def prefix_of(*ids: int, rows: int = 3) -> torch.Tensor:
    return torch.tensor([ids]).expand(rows, -1)


def encode(model: FlorenzForConditionalGeneration, inputs: dict) -> tuple[BaseModelOutput, torch.Tensor]:
    with torch.no_grad():
        embeddings, mask, _ = model.model.merge_inputs(**inputs)
        return model.get_encoder()(inputs_embeds=embeddings, attention_mask=mask), mask


SEARCHES = {
    "greedy": {},
    "beams": {"num_beams": 4},
    "prefix": {"decoder_input_ids": prefix_of(START, BOS, 50, 60)},
    "beams with prefix": {"num_beams": 4, "decoder_input_ids": prefix_of(START, BOS, 50, 60)},
}


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_decoding_with_a_cache_gives_what_decoding_without_one_gives(model, inputs, search) -> None:
    cached = decode(model, inputs, **search)
    assert_same(cached, decode(model, inputs, **search, use_cache=False))
    prefix = search.get("decoder_input_ids", prefix_of(START))
    assert cached.sequences.shape == (3, prefix.shape[1] + NEW_TOKENS)
    # Equality would mean little between texts of one repeated id, or between equal rows.
    assert min(len(set(row.tolist())) for row in cached.sequences) > 5
    assert len({tuple(row.tolist()) for row in cached.sequences}) == 3


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_a_static_cache_gives_what_a_dynamic_one_gives(model, inputs, search) -> None:
    dynamic = decode(model, inputs, **search)
    static = decode(model, inputs, **search, cache_implementation="static")
    assert_same(dynamic, static)
    assert static.cache.is_compileable
    assert dynamic.cache.self_attention_cache.is_compileable is False


@pytest.mark.parametrize("search", [{}, {"num_beams": 4}], ids=["greedy", "beams"])
def test_a_padded_batch_gives_what_its_rows_give_alone(model, inputs, search) -> None:
    batch = decode(model, inputs, **search).sequences
    for row in range(3):
        assert torch.equal(batch[row : row + 1], decode(model, row_of(inputs, row), **search).sequences)
    assert not torch.equal(batch, decode(model, inputs | {"attention_mask": torch.ones(3, 9).long()}).sequences)


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_a_compiled_decoder_step_is_one_graph_and_gives_the_same(model, inputs, backend) -> None:
    torch._dynamo.reset()
    counters.clear()
    settings = {"cache_implementation": "static", "new_tokens": 20}
    compile_config = CompileConfig(fullgraph=True, backend=backend, mode="default")
    compile_config._compile_all_devices = True
    eager = decode(model, inputs, **settings)
    assert not counters["stats"]
    assert_same(eager, decode(model, inputs, **settings, compile_config=compile_config))
    graphs = counters["stats"]["unique_graphs"]
    # A window that fills up and slides takes graphs of its own; a graph for each length would be one for each token.
    assert 1 <= graphs <= 4
    assert_same(eager, decode(model, inputs, **settings, compile_config=compile_config))
    assert counters["stats"]["unique_graphs"] == graphs
    torch._dynamo.reset()


def test_sampling_from_one_seed_does_not_depend_on_the_cache(model, inputs) -> None:
    def sample(seed: int, **settings: Any) -> torch.Tensor:
        torch.manual_seed(seed)
        return decode(model, inputs, do_sample=True, top_k=50, temperature=2.0, **settings).sequences

    assert torch.equal(sample(3), sample(3, use_cache=False))
    assert not torch.equal(sample(3), sample(4))


def test_several_texts_come_for_each_row_with_the_best_first(model, inputs) -> None:
    outputs = decode(model, inputs, num_beams=4, num_return_sequences=3)
    texts, scores = outputs.sequences.view(3, 3, -1), outputs.sequences_scores.view(3, 3)
    assert torch.equal(texts[:, 0], decode(model, inputs, num_beams=4).sequences)
    assert (scores.diff() <= 0).all()
    assert all(len({tuple(text) for text in row.tolist()}) == 3 for row in texts)


def test_beams_may_reorder_layers_without_cross_attention(inputs) -> None:
    model = tiny_model("gemma2", cross_attention_every_n_layers=2)
    cached = decode(model, inputs, num_beams=4)
    assert_same(cached, decode(model, inputs, num_beams=4, use_cache=False))
    assert_same(cached, decode(model, inputs, num_beams=4, cache_implementation="static"))


@pytest.mark.parametrize("help", ["prompt lookup", "assistant"])
def test_speculative_decoding_gives_the_greedy_ids(model, inputs, help) -> None:
    alone = row_of(inputs, 0)
    settings = {"output_scores": False, "output_logits": False, "min_new_tokens": None, "no_repeat_ngram_size": None}
    greedy = decode(model, alone, new_tokens=24, **settings).sequences
    if help == "assistant":
        settings["assistant_model"] = tiny_model(model.config.text_config.model_type, seed=5)
    else:
        settings["prompt_lookup_num_tokens"] = 3
    assert torch.equal(greedy, decode(model, alone, new_tokens=24, **settings).sequences)


def test_a_prefix_may_come_with_or_without_the_start_id(model, inputs) -> None:
    prefix = prefix_of(START, BOS, 50, 60)
    whole = decode(model, inputs, decoder_input_ids=prefix)
    assert_same(whole, decode(model, inputs, decoder_input_ids=prefix[:, 1:]))
    assert torch.equal(whole.sequences[:, :4], prefix)
    assert not torch.equal(whole.sequences[:, 4:], decode(model, inputs).sequences[:, 1:])


def ragged_prefixes() -> tuple[list[list[int]], dict[str, torch.Tensor]]:
    rows = [[START, BOS, 50], [START, BOS, *range(50, 60)], [START, BOS, 55, 66]]  # the second outgrows the window
    fill = [[0] * (12 - len(row)) for row in rows]
    ids = torch.tensor([pad + row for pad, row in zip(fill, rows, strict=True)])
    mask = torch.tensor([pad + [1] * len(row) for pad, row in zip(fill, rows, strict=True)])
    return rows, {"decoder_input_ids": ids, "decoder_attention_mask": mask}


@pytest.mark.parametrize(
    "search",
    [{}, {"num_beams": 4}, {"use_cache": False}, {"cache_implementation": "static"}],
    ids=["greedy", "beams", "no cache", "static cache"],
)
def test_prefixes_of_different_lengths_give_what_each_gives_alone(gemma2, inputs, search) -> None:
    rows, prefixes = ragged_prefixes()
    batch = decode(gemma2, inputs | prefixes, **search).sequences
    for row, prefix in enumerate(rows):
        alone = decode(gemma2, row_of(inputs, row), decoder_input_ids=torch.tensor([prefix]), **search).sequences
        assert torch.equal(batch[row, -alone.shape[1] :], alone[0])
    del prefixes["decoder_attention_mask"]
    assert not torch.equal(batch, decode(gemma2, inputs | prefixes, **search).sequences)


def test_a_bart_decoder_refuses_prefixes_of_different_lengths(inputs) -> None:
    bart = tiny_model("bart")
    _, prefixes = ragged_prefixes()
    with pytest.raises(ValueError, match="different lengths"):
        bart.generate(**inputs, **prefixes)
    with pytest.raises(ValueError, match="different lengths"):
        bart.generate(encoder_outputs=encode(bart, inputs)[0], **prefixes)
    even = {"decoder_input_ids": prefix_of(START, BOS, 50), "decoder_attention_mask": torch.ones(3, 3).long()}
    assert_same(decode(bart, inputs | even), decode(bart, inputs, decoder_input_ids=even["decoder_input_ids"]))


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
        assert layer.keys.shape[:1] + layer.keys.shape[2:3] == (3 * num_beams, source)


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
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, timeout=60, skip_special_tokens=True)
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
