"""Decoding gives the same ids whatever way it is run: caches, batches, compilation, prefixes."""

from typing import Any

import pytest
import torch
from decoding import BOS, NEW_TOKENS, START, assert_same, decode, encode, prefix_of, row_of
from tiny_models import tiny_model
from torch._dynamo.utils import counters
from transformers import CompileConfig


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


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
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
