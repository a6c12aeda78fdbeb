"""Image guidance weighs what a model writes with its image against what it writes without."""

import pytest
import torch
from decoding import decode
from tiny_models import KINDS, tiny_inputs, tiny_labels, tiny_model

from modeling_florenz import FlorenzForConditionalGeneration


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest) -> FlorenzForConditionalGeneration:
    return tiny_model(request.param).eval()


def without_image(inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in inputs.items() if name != "pixel_values"}


@torch.no_grad()
def test_logits_lie_on_the_line_through_those_without_and_with_the_image(model) -> None:
    inputs, labels = tiny_inputs(), tiny_labels()
    seen = model(**inputs, labels=labels).logits
    blind = model(**without_image(inputs), labels=labels).logits
    for strength in (0.0, 0.4, 1.0, 2.5):
        guided = model(**inputs, labels=labels, image_guidance=strength)
        torch.testing.assert_close(guided.logits, blind + strength * (seen - blind), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(seen, blind, atol=1e-2)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_strength_1_writes_what_is_written_without_guidance_and_0_what_is_without_the_image(model, num_beams) -> None:
    inputs = tiny_inputs()
    plain = decode(model, inputs, 12, num_beams=num_beams).sequences
    assert torch.equal(decode(model, inputs, 12, num_beams=num_beams, image_guidance=1.0).sequences, plain)
    blind = decode(model, without_image(inputs), 12, num_beams=num_beams).sequences
    assert torch.equal(decode(model, inputs, 12, num_beams=num_beams, image_guidance=0.0).sequences, blind)
    assert not torch.equal(plain, blind)


@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_a_cache_changes_nothing(model, num_beams, cache) -> None:
    inputs, settings = tiny_inputs(), {"num_beams": num_beams, "image_guidance": 2.0}
    cached = decode(model, inputs, 12, cache_implementation=cache, **settings).sequences
    assert torch.equal(cached, decode(model, inputs, 12, use_cache=False, **settings).sequences)
    features = {"image": model.get_image_features(inputs["pixel_values"])}
    given = without_image(inputs) | {"mm_encoder_outputs": features}
    assert torch.equal(cached, decode(model, given, 12, **settings).sequences)


def test_an_image_or_a_prompt_alone_cannot_be_guided(model) -> None:
    inputs = tiny_inputs()
    with pytest.raises(ValueError, match="image_guidance is for a prompt with an image"):
        decode(model, without_image(inputs), 4, image_guidance=2.0)
    with pytest.raises(ValueError, match="image_guidance is for an image with a prompt"):
        decode(model, {"pixel_values": inputs["pixel_values"]}, 4, image_guidance=2.0)
