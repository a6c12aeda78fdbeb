"""Count the parameters of the four published sizes without allocating them."""

import pytest
import torch
from tiny_models import KINDS, tiny_model

from modeling_florenz import FlorenzForConditionalGeneration
from modeling_florenz.checkpoint.freezing import freeze_as_in_paper
from modeling_florenz.sizes import config_from_size


# size: all parameters, trained in the paper, tensors in a file
PUBLISHED = {
    "0.4b": (428_838_400, 337_631_232, 666),
    "1.0b": (1_039_697_920, 676_864_000, 918),
    "3.5b": (3_485_001_498, 1_097_649_690, 1046),
    "11.2b": (11_221_849_642, 2_534_813_738, 1318),
}


@pytest.fixture(scope="module", params=PUBLISHED)
def size(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(size: str) -> FlorenzForConditionalGeneration:
    with torch.device("meta"):
        return FlorenzForConditionalGeneration(config_from_size(size))


def test_total_matches_the_published_size(size: str, model: FlorenzForConditionalGeneration) -> None:
    # `parameters()` counts the tied head and embedding once.
    assert model.lm_head.weight is model.model.decoder.embed_tokens.weight
    assert sum(parameter.numel() for parameter in model.parameters()) == PUBLISHED[size][0]


def test_trained_share_matches_the_paper(size: str, model: FlorenzForConditionalGeneration) -> None:
    freeze_as_in_paper(model)
    assert sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad) == PUBLISHED[size][1]


def test_file_holds_the_published_number_of_tensors(size: str, model: FlorenzForConditionalGeneration) -> None:
    state = model.state_dict()
    assert len(state) - ("lm_head.weight" in state) == PUBLISHED[size][2]
    buffers = set(state) - {name for name, _ in model.named_parameters(remove_duplicate=False)}
    assert buffers == {"model.multi_modal_projector.visual_temporal_embed.pos_idx_to_embed"}


def trained_parts(model: FlorenzForConditionalGeneration) -> set[str]:
    """Name what is trained by its first two levels, or by its place in a decoder layer."""
    parts = set()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            levels = name.split(".")
            parts.add(levels[4] if name.startswith("model.decoder.layers.") else ".".join(levels[1:3]))
    return parts


ENCODER = {"encoder.embed_tokens", "encoder.embed_positions", "encoder.layernorm_embedding", "encoder.layers"}
TRAINED = {
    "bart": {
        *ENCODER,
        *(f"decoder.{part}" for part in ("embed_tokens", "embed_positions", "layernorm_embedding")),
        *("self_attn", "self_attn_layer_norm", "encoder_attn", "encoder_attn_layer_norm"),
        *("fc1", "fc2", "final_layer_norm"),
    },
    "gemma2": {
        *ENCODER,
        "decoder.embed_tokens",
        *("cross_attn", "cross_attn_gate", "post_cross_attn_layernorm"),
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_freezing_trains_exactly_the_parts_of_the_paper(kind: str) -> None:
    model = tiny_model(kind)
    assert trained_parts(model) != TRAINED[kind]
    freeze_as_in_paper(model)
    assert trained_parts(model) == TRAINED[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_freezing_does_not_depend_on_what_was_frozen_before(kind: str) -> None:
    model = tiny_model(kind)
    model.requires_grad_(False)
    freeze_as_in_paper(model)
    assert trained_parts(model) == TRAINED[kind]
    assert model.lm_head.weight.requires_grad
