"""Rows whose texts are finished take no part in the steps of a search that are left."""

import itertools
from typing import Any

import pytest
import torch
from tiny_models import tiny_inputs
from transformers import GenerationMixin

from modeling_florenz import FlorenzForConditionalGeneration
from modeling_florenz.modeling_florenz import FlorenzCache


SEARCHES = {
    "greedy": {},
    "beams": {"num_beams": 3},
    "beams that stop early": {"num_beams": 3, "early_stopping": True},
    "beams with prefixes": {"num_beams": 3, "decoder_input_ids": torch.tensor([[1, 2, 50, 60]]).expand(6, -1)},
}


@pytest.fixture
def rows() -> dict[str, torch.Tensor]:
    """Six rows: three images, each with two prompts."""
    twice = {name: torch.cat((value, value)) for name, value in tiny_inputs().items()}
    return twice | {"input_ids": torch.cat((twice["input_ids"][:3], twice["input_ids"][3:].flip(0)))}


def ends_of(model: FlorenzForConditionalGeneration, inputs: dict[str, torch.Tensor], **search: Any) -> list[int]:
    """Return two tokens that end the texts of the search at as many different steps as possible."""
    free = generate(model, inputs, **search, eos_token_id=None)
    texts = free[:, search.get("decoder_input_ids", free[:, :1]).shape[1] :].tolist()

    def lengths(ends: tuple[int, int]) -> int:
        return len({next((n for n, token in enumerate(text) if token in ends), -1) for text in texts})

    return list(max(itertools.combinations(sorted({token for text in texts for token in text}), 2), key=lengths))


def generate(model: FlorenzForConditionalGeneration, inputs: dict[str, torch.Tensor], **search: Any) -> torch.Tensor:
    """Search without words said twice, as random models would say one for ever."""
    search = {"num_beams": 1, "do_sample": False, "max_new_tokens": 24, "no_repeat_ngram_size": 1} | search
    generation: Any = model
    return generation.generate(**inputs, **search)


def steps_of(model: FlorenzForConditionalGeneration, inputs: dict[str, torch.Tensor], **search: Any) -> list[int]:
    """Return how many texts the decoder was given in each step."""
    seen: list[int] = []
    handle = model.model.decoder.register_forward_pre_hook(
        lambda module, given, named: seen.append(len(named["input_ids"])), with_kwargs=True
    )
    try:
        generate(model, inputs, **search)
    finally:
        handle.remove()
    return seen


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_a_batch_with_rows_that_leave_gives_what_each_row_gives_alone(model, rows, search) -> None:
    search = search | {"eos_token_id": ends_of(model, rows, **search)}
    batch = generate(model, rows, **search)
    for row in range(6):
        one = search | {name: value[row : row + 1] for name, value in search.items() if name == "decoder_input_ids"}
        alone = generate(model, {name: value[row : row + 1] for name, value in rows.items()}, **one)[0]
        length = len(alone)
        assert torch.equal(batch[row, :length], alone)
        # A search of beams fills up with the first end where padding is token 0.
        assert set(batch[row, length:].tolist()) <= {model.generation_config.pad_token_id, search["eos_token_id"][0]}
    texts = steps_of(model, rows, **search)
    beams = search.get("num_beams", 1)
    assert texts[1:] == sorted(texts[1:], reverse=True)
    assert 0 < texts[-1] < 6 * beams  # some did leave


def test_a_mistaken_place_of_a_row_would_be_seen(model, rows, monkeypatch) -> None:
    ends = ends_of(model, rows)
    right = generate(model, rows, eos_token_id=ends)
    held = FlorenzCache.held
    monkeypatch.setattr(FlorenzCache, "held", lambda cache, values: held(cache, values).flip(0))
    assert not torch.equal(generate(model, rows, eos_token_id=ends), right)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_whoever_asks_for_the_cache_gets_all_rows_of_it(model, rows, num_beams) -> None:
    ends = ends_of(model, rows, num_beams=num_beams)
    outputs: Any = generate(model, rows, num_beams=num_beams, eos_token_id=ends, return_dict_in_generate=True)
    assert torch.equal(outputs.sequences, generate(model, rows, num_beams=num_beams, eos_token_id=ends))
    assert len(outputs.cache.self_attention_cache.layers[0].keys) == 6 * num_beams
    assert len(outputs.cache.cross_attention_cache.layers[0].keys) == 6


@pytest.mark.parametrize("do_sample", [False, True], ids=["searched", "sampled"])
def test_beams_of_finished_rows_change_nothing_that_is_returned(model, rows, do_sample, monkeypatch) -> None:
    search = {"num_beams": 3, "do_sample": do_sample, "eos_token_id": ends_of(model, rows, num_beams=3)}
    torch.manual_seed(0)
    marked = generate(model, rows, **search)
    theirs = staticmethod(GenerationMixin._check_early_stop_heuristic)
    monkeypatch.setattr(FlorenzForConditionalGeneration, "_check_early_stop_heuristic", theirs)
    torch.manual_seed(0)
    assert torch.equal(marked, generate(model, rows, **search))
