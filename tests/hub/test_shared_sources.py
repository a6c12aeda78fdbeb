"""Several texts about one image and prompt share its encoder states, keys and values."""

from typing import Any

import pytest
import torch
from tiny_models import KINDS, tiny_inputs, tiny_model

from modeling_florenz import FlorenzForConditionalGeneration


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest) -> FlorenzForConditionalGeneration:
    return tiny_model(request.param).eval()


@pytest.fixture
def encoded(model: FlorenzForConditionalGeneration) -> dict[str, Any]:
    """Encoder states of three images with ragged prompts, and the mask of the prompts."""
    inputs = tiny_inputs()
    with torch.no_grad():
        states = model(**inputs, decoder_input_ids=torch.ones(3, 1, dtype=torch.long)).encoder_last_hidden_state
    return {"encoder_outputs": (states,), "attention_mask": inputs["attention_mask"]}


def copied(encoded: dict[str, Any], times: int) -> dict[str, Any]:
    states, mask = encoded["encoder_outputs"][0], encoded["attention_mask"]
    return {
        "encoder_outputs": (states.repeat_interleave(times, 0),),
        "attention_mask": mask.repeat_interleave(times, 0),
    }


@pytest.mark.parametrize("length", [1, 6])
@torch.no_grad()
def test_texts_about_one_image_get_the_logits_they_get_with_a_copy_each(model, encoded, length) -> None:
    ids = torch.randint(4, 120, (12, length), generator=torch.Generator().manual_seed(0))
    shared = model(**encoded, decoder_input_ids=ids).logits
    apart = model(**copied(encoded, 4), decoder_input_ids=ids).logits
    assert torch.allclose(shared, apart, atol=1e-5)
    turned = {"encoder_outputs": (encoded["encoder_outputs"][0].flip(0),), "attention_mask": encoded["attention_mask"]}
    assert not torch.allclose(model(**turned, decoder_input_ids=ids).logits, apart, atol=1e-2)


@torch.no_grad()
def test_attention_to_a_shared_source_has_a_row_for_each_text(model, encoded) -> None:
    model.set_attn_implementation("eager")
    ids = torch.randint(4, 120, (6, 5), generator=torch.Generator().manual_seed(0))
    shared = model(**encoded, decoder_input_ids=ids, output_attentions=True).cross_attentions
    apart = model(**copied(encoded, 2), decoder_input_ids=ids, output_attentions=True).cross_attentions
    for one, other in zip(shared, apart, strict=True):
        assert one.shape == other.shape and len(one) == 6
        assert torch.allclose(one, other, atol=1e-5)


def test_texts_that_cannot_be_shared_out_are_refused(model, encoded) -> None:
    with pytest.raises(
        ValueError, match="7 decoder rows came with 3 encoder rows: give each the same number of texts"
    ):
        model(**encoded, decoder_input_ids=torch.full((7, 2), 5))


@torch.no_grad()
def test_a_step_with_a_filled_cache_needs_no_encoder_states(model, encoded) -> None:
    decoder, states = model.model.decoder, encoded["encoder_outputs"][0]
    ids = torch.randint(4, 120, (3, 4), generator=torch.Generator().manual_seed(0))
    whole = decoder(input_ids=ids, encoder_hidden_states=states).last_hidden_state
    first = decoder(input_ids=ids[:, :3], encoder_hidden_states=states, use_cache=True)
    step = decoder(input_ids=ids[:, 3:], cache=first.cache, use_cache=True).last_hidden_state
    assert torch.allclose(step, whole[:, 3:], atol=1e-5)


@torch.no_grad()
def test_samples_and_beams_read_shared_states(model) -> None:
    inputs = tiny_inputs()
    seen: list[int] = []
    handle = model.model.decoder.register_forward_pre_hook(
        lambda module, given, named: seen.append(len(named["encoder_hidden_states"])), with_kwargs=True
    )
    try:
        model.generate(**inputs, num_beams=3, max_new_tokens=4)
        model.generate(**inputs, do_sample=True, num_return_sequences=2, max_new_tokens=4)
    finally:
        handle.remove()
    assert set(seen) == {3}
