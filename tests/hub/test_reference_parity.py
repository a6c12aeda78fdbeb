"""Compare two tiny checkpoints of the research code with what that code itself computed (float32, eager, CPU)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_models import KINDS
from torch import nn

from modeling_florenz import FlorenzForConditionalGeneration
from modeling_florenz.checkpoint.conversion import load_research_checkpoint


GOLDEN = Path(__file__).parents[3] / "shared" / "golden"
FEATURE_TOLERANCE, LOGIT_TOLERANCE, LOSS_TOLERANCE = 5e-5, 1e-4, 1e-5

pytestmark = pytest.mark.skipif(
    not GOLDEN.is_dir(), reason="the research code's outputs are not beside the repository, in ../shared/golden"
)


class Golden(NamedTuple):
    model: FlorenzForConditionalGeneration
    expected: dict[str, torch.Tensor]
    generation: dict

    @property
    def inputs(self) -> dict[str, torch.Tensor]:
        return {name: self.expected[name] for name in ("pixel_values", "input_ids", "attention_mask")}

    @torch.no_grad()
    def logit_difference(self, **changed: torch.Tensor) -> float:
        logits = self.model(**{**self.inputs, **changed}, labels=self.expected["labels"]).logits
        return (logits - self.expected["logits"]).abs().max().item()


def load(kind: str) -> Golden:
    folder = GOLDEN / kind
    model = load_research_checkpoint(folder)
    model.set_attn_implementation("eager")
    settings = json.loads((folder / "effective_generation.json").read_text())
    used = ("no_repeat_ngram_size", "early_stopping", "forced_bos_token_id", "forced_eos_token_id", "length_penalty")
    generation = {name: settings.get(name) for name in used}
    return Golden(model, load_file(folder / "expected.safetensors"), {**generation, "max_new_tokens": 24})


@pytest.fixture(scope="module", params=KINDS)
def golden(request: pytest.FixtureRequest) -> Golden:
    """Build one kind; tests that change the model load their own."""
    return load(request.param)


@torch.no_grad()
def test_image_features_match(golden: Golden) -> None:
    features = golden.model.get_image_features(golden.expected["pixel_values"]).pooler_output
    torch.testing.assert_close(features, golden.expected["image_features"], atol=FEATURE_TOLERANCE, rtol=0)


@torch.no_grad()
def test_encoder_states_match_where_the_mask_is_one(golden: Golden) -> None:
    states = golden.model(**golden.inputs, labels=golden.expected["labels"]).encoder_last_hidden_state
    images = torch.ones(golden.expected["image_features"].shape[:2])
    read = torch.cat((images, golden.expected["attention_mask"]), dim=1).bool()
    assert not read.all()
    expected = golden.expected["encoder_last_hidden_state"]
    torch.testing.assert_close(states[read], expected[read], atol=LOGIT_TOLERANCE, rtol=0)


@torch.no_grad()
def test_logits_and_loss_match(golden: Golden) -> None:
    outputs = golden.model(**golden.inputs, labels=golden.expected["labels"])
    torch.testing.assert_close(outputs.logits, golden.expected["logits"], atol=LOGIT_TOLERANCE, rtol=0)
    torch.testing.assert_close(outputs.loss, golden.expected["loss"].reshape(()), atol=LOSS_TOLERANCE, rtol=0)


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize(
    ("expected", "beams", "prefix"),
    [("greedy_ids", 1, None), ("beam4_ids", 4, None), ("prefix_beam4_ids", 4, "prefix_ids")],
)
def test_generated_ids_are_identical(
    golden: Golden, expected: str, beams: int, prefix: str | None, use_cache: bool
) -> None:
    ids = golden.model.generate(
        **golden.inputs,
        **golden.generation,
        num_beams=beams,
        use_cache=use_cache,
        decoder_input_ids=None if prefix is None else golden.expected[prefix],
    )
    assert torch.equal(ids, golden.expected[expected])


def test_generated_ids_depend_on_the_settings(golden: Golden) -> None:
    settings = {**golden.generation, "no_repeat_ngram_size": 0}
    ids = golden.model.generate(**golden.inputs, **settings, num_beams=4)
    assert not torch.equal(ids, golden.expected["beam4_ids"])


def drop_final_softcap(model: FlorenzForConditionalGeneration) -> None:
    model.config.text_config.final_logit_softcapping = None


def drop_self_attention_softcap(model: FlorenzForConditionalGeneration) -> None:
    for layer in model.model.decoder.layers:
        layer.self_attn.attn_logit_softcapping = None


def drop_cross_attention_softcap(model: FlorenzForConditionalGeneration) -> None:
    for layer in model.model.decoder.layers:
        layer.cross_attn.attn_logit_softcapping = None


def open_the_sliding_window(model: FlorenzForConditionalGeneration) -> None:
    model.model.decoder.config.sliding_window = 1000


def add_a_norm_before_cross_attention(model: FlorenzForConditionalGeneration) -> None:
    for layer in model.model.decoder.layers:
        layer.cross_attn.register_forward_pre_hook(
            lambda module, args: (nn.functional.rms_norm(args[0], args[0].shape[-1:]), *args[1:])
        )


def drop_the_norm_after_cross_attention(model: FlorenzForConditionalGeneration) -> None:
    for layer in model.model.decoder.layers:
        layer.post_cross_attn_layernorm = nn.Identity()


def close_the_gates(model: FlorenzForConditionalGeneration) -> None:
    for layer in model.model.decoder.layers:
        layer.cross_attn_gate.weight.detach().zero_()


def open_the_gates(model: FlorenzForConditionalGeneration) -> None:
    for layer in model.model.decoder.layers:
        layer.cross_attn_gate = nn.Identity()


def drop_the_embedding_scale(model: FlorenzForConditionalGeneration) -> None:
    scale = model.config.text_config.hidden_size**0.5
    model.model.decoder.embed_tokens.register_forward_hook(lambda module, args, embeddings: embeddings / scale)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("bart", drop_final_softcap),
        ("gemma2", drop_final_softcap),
        ("gemma2", drop_self_attention_softcap),
        ("gemma2", drop_cross_attention_softcap),
        ("gemma2", open_the_sliding_window),
        ("gemma2", add_a_norm_before_cross_attention),
        ("gemma2", drop_the_norm_after_cross_attention),
        ("gemma2", close_the_gates),
        ("gemma2", open_the_gates),
        ("gemma2", drop_the_embedding_scale),
    ],
)
def test_logits_notice_a_changed_part(kind: str, change: Callable[[FlorenzForConditionalGeneration], None]) -> None:
    golden = load(kind)
    change(golden.model)
    assert golden.logit_difference() > 10 * LOGIT_TOLERANCE


def test_logits_notice_a_dropped_prompt_mask(golden: Golden) -> None:
    everything = torch.ones_like(golden.expected["attention_mask"])
    assert golden.logit_difference(attention_mask=everything) > 10 * LOGIT_TOLERANCE


@torch.no_grad()
def test_logits_notice_a_mask_dropped_in_cross_attention_alone(golden: Golden) -> None:
    states = golden.model(**golden.inputs, labels=golden.expected["labels"]).encoder_last_hidden_state
    everything = torch.ones(states.shape[:2])
    assert golden.logit_difference(encoder_outputs=(states,), attention_mask=everything) > 10 * LOGIT_TOLERANCE


@torch.no_grad()
def test_loss_notices_labels_that_are_shifted_twice(golden: Golden) -> None:
    labels = golden.expected["labels"]
    logits = golden.model(**golden.inputs, labels=labels).logits
    twice = nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    assert abs(twice - golden.expected["loss"]).item() > 10 * LOSS_TOLERANCE


@torch.no_grad()
@pytest.mark.parametrize("change", ["swapped axes", "no temporal embedding"])
def test_image_features_notice_wrong_positions(change: str) -> None:
    model, expected, _ = load("bart")
    projector = model.model.multi_modal_projector
    if change == "swapped axes":
        tables = projector.image_position_embed
        tables.row_embeddings, tables.column_embeddings = tables.column_embeddings, tables.row_embeddings
    else:
        projector.visual_temporal_embed.pos_idx_to_embed.zero_()
    difference = model.get_image_features(expected["pixel_values"]).pooler_output - expected["image_features"]
    assert difference.abs().max().item() > 10 * FEATURE_TOLERANCE


@torch.no_grad()
def test_saved_and_reloaded_model_gives_the_same_logits(golden: Golden, tmp_path: Path) -> None:
    golden.model.save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        names = set(file.keys())
    assert "lm_head.weight" not in names
    assert "model.decoder.embed_tokens.weight" in names
    reloaded = FlorenzForConditionalGeneration.from_pretrained(tmp_path, attn_implementation="eager")
    inputs = {**golden.inputs, "labels": golden.expected["labels"]}
    assert torch.equal(reloaded(**inputs).logits, golden.model(**inputs).logits)
