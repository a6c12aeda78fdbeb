"""Large matrices and few rows: products, and the choice among all words, are faster and no different."""

from collections.abc import Iterator

import pytest
import torch
from tiny_models import tiny_inputs, tiny_model
from torch import nn
from transformers import GenerationMixin

from modeling_florenz.modeling_florenz import FlorenzLinear, _largest


@pytest.fixture
def used(monkeypatch) -> Iterator[list[torch.Tensor]]:
    """Note what falls back to `nn.Linear`."""
    plain, calls = nn.Linear.forward, []
    monkeypatch.setattr(nn.Linear, "forward", lambda self, states: calls.append(states) or plain(self, states))
    yield calls


def _linear(dtype: torch.dtype, bias: bool = True, outputs: int = 128, inputs: int = 96) -> FlorenzLinear:
    torch.manual_seed(0)
    linear = FlorenzLinear(inputs, outputs, bias).to(dtype)
    linear.smallest = 1  # instance attribute: real ones are too large for a test
    return linear


@pytest.mark.parametrize(
    ("dtype", "rows", "bias"),
    [(torch.float32, rows, bias) for rows in (1, 2, 4, 5, 15) for bias in (True, False)]
    + [(torch.bfloat16, 1, False)],
)
@pytest.mark.parametrize("outputs", [64, 128])
def test_few_rows_give_what_a_plain_linear_gives(dtype, rows, bias, outputs, used) -> None:
    linear, states = _linear(dtype, bias, outputs), torch.randn(rows, 1, 96).to(dtype)
    plain = nn.functional.linear(states, linear.weight, linear.bias)
    with torch.no_grad():
        fast = linear(states)
    assert not used
    assert fast.shape == plain.shape and fast.is_contiguous()
    torch.testing.assert_close(fast, plain, rtol=1e-5 if dtype == torch.float32 else 0.008, atol=1e-5)


@pytest.mark.parametrize(("dtype", "rows"), [(torch.float32, 0), (torch.float32, 16), (torch.bfloat16, 2)])
def test_other_numbers_of_rows_take_the_plain_way(dtype, rows, used) -> None:
    with torch.no_grad():
        _linear(dtype, bias=False)(torch.randn(rows, 96).to(dtype))
    assert len(used) == 1


@pytest.mark.parametrize(("rows", "plainly"), [(8, 1), (9, 0), (16, 0), (17, 1)])
def test_nine_to_sixteen_long_rows_in_bfloat16_give_what_a_plain_linear_gives(rows, plainly, used) -> None:
    linear, states = _linear(torch.bfloat16, False, inputs=2304), torch.randn(rows, 2304).bfloat16()
    plain = nn.functional.linear(states, linear.weight)
    with torch.no_grad():
        fast = linear(states)
    assert len(used) == plainly and fast.is_contiguous()
    torch.testing.assert_close(fast, plain, rtol=0.008, atol=0.008)


@pytest.mark.parametrize("inputs", [96, 2048, 4096])
def test_short_rows_and_multiples_of_2048_take_the_plain_way_in_bfloat16(inputs, used) -> None:
    with torch.no_grad():
        _linear(torch.bfloat16, False, inputs=inputs)(torch.randn(16, inputs).bfloat16())
    assert len(used) == 1


def test_a_bias_in_bfloat16_takes_the_plain_way(used) -> None:
    with torch.no_grad():
        _linear(torch.bfloat16)(torch.randn(1, 96).bfloat16())
    assert len(used) == 1


def test_training_and_small_matrices_take_the_plain_way(used) -> None:
    linear, states = _linear(torch.float32), torch.randn(4, 96)
    linear(states).sum().backward()
    assert linear.weight.grad is not None
    linear.smallest = FlorenzLinear.smallest
    with torch.no_grad():
        linear(states)
    assert len(used) == 2


@pytest.mark.parametrize("kind", ["bart", "gemma2"])
def test_every_large_matrix_of_a_step_is_read_fast(kind, monkeypatch) -> None:
    model = tiny_model(kind)
    assert not any(isinstance(module, FlorenzLinear) for module in model.model.modules())
    monkeypatch.setattr(FlorenzLinear, "smallest", 1)
    model = tiny_model(kind)
    decoder = model.model.decoder
    assert all(type(module) is FlorenzLinear for module in decoder.modules() if isinstance(module, nn.Linear))
    assert type(model.lm_head) is FlorenzLinear
    assert not any(isinstance(module, FlorenzLinear) for module in model.model.encoder.modules())


def test_logits_that_somebody_may_train_on_are_left_as_they_are() -> None:
    model, inputs = tiny_model("gemma2"), tiny_inputs()
    seen: list[torch.Tensor] = []
    model.lm_head.register_forward_hook(lambda head, given, logits: seen.append(logits))
    given = {**inputs, "decoder_input_ids": inputs["input_ids"][:, :2]}
    logits = model(**given).logits
    assert logits.data_ptr() != seen[0].data_ptr() and logits.requires_grad
    with torch.no_grad():
        assert torch.equal(model(**given).logits, logits)


def test_the_largest_of_many_are_found_by_their_blocks() -> None:
    torch.manual_seed(0)
    values = torch.randn(3, 4, 128 * 50)
    values[0, 0] = -torch.inf
    values[0, 0, 700] = 1.0
    found, places = _largest(values, 8)
    expected = values.topk(8)
    assert torch.equal(found, expected.values)
    assert torch.equal(values.gather(-1, places), found)
    assert torch.equal(places[1:], expected.indices[1:])  # of equal values, any may be named


def test_beams_go_on_with_what_transformers_itself_chooses() -> None:
    torch.manual_seed(0)
    model, batch, beams, words = tiny_model("bart"), 2, 3, 128 * 20
    model.many_words = words
    scores = torch.randn(batch, beams * words)
    running = torch.randint(9, (batch, beams, 7))
    indices = torch.full((batch, beams, 5), -1, dtype=torch.int32)
    given = (scores, running, indices, 4, 2, False, 2 * beams, beams, batch)
    chosen = model._get_top_k_continuations(*given)
    expected = GenerationMixin._get_top_k_continuations(model, *given)
    for ours, theirs in zip(chosen, expected, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("kind", ["bart", "gemma2"])
def test_the_first_step_of_beams_is_taken_once_for_each_row(kind) -> None:
    model, inputs = tiny_model(kind), tiny_inputs()
    rows: list[int] = []
    model.lm_head.register_forward_hook(lambda head, given, logits: rows.append(len(given[0])))
    search = {"num_beams": 3, "min_new_tokens": 6, "max_new_tokens": 6}
    ids = model.generate(**inputs, **search)
    assert rows == [len(ids)] + 5 * [3 * len(ids)]
    # With attentions asked for, every beam has a first step of its own.
    rows.clear()
    each = model.generate(**inputs, **search, return_dict_in_generate=True, output_attentions=True)
    assert rows == 6 * [3 * len(ids)]
    assert torch.equal(ids, each.sequences)
