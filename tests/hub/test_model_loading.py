"""A model loaded from a folder: attention, missing weights, Auto classes, resizing."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from model_calls import ROUNDING, Model, largest, logits_of
from safetensors.torch import load_file, save_file
from tiny_models import KINDS, tiny_inputs, tiny_labels, tiny_model
from transformers import AutoModel, AutoModelForImageTextToText, AutoModelForSeq2SeqLM, Gemma2Config, Gemma2ForCausalLM


@pytest.mark.parametrize(
    ("kind", "overrides", "decoder"),
    [("bart", {}, "sdpa"), ("gemma2", {}, "eager"), ("gemma2", {"attn_logit_softcapping": None}, "sdpa")],
)
def test_default_attention_is_the_fastest_exact_one(kind: str, overrides: dict, decoder: str, tmp_path: Path) -> None:
    eager = tiny_model(kind, **overrides)
    eager.save_pretrained(tmp_path)
    eager.set_attn_implementation("eager")
    default = Model.from_pretrained(tmp_path)
    config = default.config
    parts = (config.vision_config, config.encoder_config, config.text_config)
    assert [part._attn_implementation for part in parts] == ["sdpa", "sdpa", decoder]
    torch.testing.assert_close(logits_of(default), logits_of(eager), atol=ROUNDING, rtol=0)


def test_sdpa_never_drops_a_soft_cap(tmp_path: Path) -> None:
    model = tiny_model("gemma2")
    model.save_pretrained(tmp_path)
    eager = Model.from_pretrained(tmp_path, attn_implementation="eager").eval()
    asked = Model.from_pretrained(tmp_path, attn_implementation="sdpa").eval()
    later = Model.from_pretrained(tmp_path).eval()
    later.set_attn_implementation("sdpa")
    for other in (asked, later):
        assert other.model.decoder.config._attn_implementation == "eager"
        assert other.model.encoder.config._attn_implementation == "sdpa"
        torch.testing.assert_close(logits_of(other), logits_of(eager), atol=ROUNDING, rtol=0)


def reload_without(model: Model, folder: Path, *parts: str) -> tuple[Model, set[str]]:
    """Save, delete every tensor whose name holds one of `parts`, and load what is left."""
    model.save_pretrained(folder)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    dropped = {name for name in tensors if any(part in name for part in parts)}
    save_file({name: tensors[name] for name in tensors if name not in dropped}, path, metadata={"format": "pt"})
    # What memory held before must not pass for a weight.
    junk = [torch.full((4096,), 1e30) for _ in range(64)]
    del junk
    reloaded, info = Model.from_pretrained(folder, output_loading_info=True)
    assert set(info["missing_keys"]) == dropped
    return reloaded, dropped


def sinusoid(length: int, width: int) -> torch.Tensor:
    angles = torch.arange(length)[:, None] * torch.exp(-math.log(10000) * torch.arange(0, width, 2) / width)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_a_file_lacks_start_as_documented(kind: str, tmp_path: Path) -> None:
    cross = {"bart": ("encoder_attn",), "gemma2": ("cross_attn",)}[kind]
    model = tiny_model(kind)
    reloaded, dropped = reload_without(model, tmp_path, *cross, "image_projection", "image_proj_norm", "pos_idx")
    weights = reloaded.state_dict()
    assert len(dropped) == {"bart": 2 * 10 + 4, "gemma2": 4 * 6 + 4}[kind]
    for name in dropped:
        weight = weights[name]
        if "pos_idx_to_embed" in name:
            torch.testing.assert_close(weight, sinusoid(100, 128), atol=1e-5, rtol=0)
        elif "gate" in name or "post_cross_attn_layernorm" in name or name.endswith("bias"):
            assert not weight.any(), name
        elif "norm" in name:
            assert (weight == 1).all(), name
        else:
            assert weight.std().item() == pytest.approx(0.02, rel=0.15), name
    kept = set(weights) - dropped
    assert all(torch.equal(weights[name], model.state_dict()[name]) for name in kept)


def test_buffers_outside_the_file_come_back(tmp_path: Path) -> None:
    model = tiny_model("gemma2")
    model.save_pretrained(tmp_path)
    in_file = set(load_file(tmp_path / "model.safetensors"))
    buffers = dict(model.named_buffers())
    outside = {name for name in buffers if name not in in_file}
    assert "model.decoder.rotary_emb.inv_freq" in outside
    reloaded = dict(Model.from_pretrained(tmp_path).named_buffers())
    assert set(reloaded) == set(buffers)
    assert all(torch.equal(reloaded[name], buffers[name]) for name in buffers)


def test_new_gemma2_decoder_starts_as_gemma2_itself() -> None:
    model = tiny_model("gemma2")
    parameters = model.config.text_config.to_dict()
    gemma = Gemma2ForCausalLM(Gemma2Config(**{**parameters, "is_decoder": False, "attn_implementation": "eager"}))
    weights = {f"model.{name}": weight for name, weight in model.model.decoder.state_dict().items()}
    outcome = gemma.load_state_dict(weights, strict=False)
    assert outcome.missing_keys == ["lm_head.weight"]
    assert all("cross_attn" in name for name in outcome.unexpected_keys)
    gemma.tie_weights()
    ids = model.prepare_decoder_input_ids_from_labels(tiny_labels())
    with torch.no_grad():
        expected = gemma.eval()(input_ids=ids, use_cache=False).logits
        assert largest(logits_of(model) - expected) > 100 * ROUNDING
        for layer in model.model.decoder.layers:
            layer.cross_attn_gate.weight.zero_()
    assert largest(logits_of(model, labels=None, decoder_input_ids=ids) - expected) == 0.0


@pytest.mark.parametrize("auto_class", [AutoModel, AutoModelForImageTextToText, AutoModelForSeq2SeqLM])
def test_auto_classes_give_the_generating_model(auto_class: Any, tmp_path: Path) -> None:
    model = tiny_model("bart")
    model.save_pretrained(tmp_path)
    loaded = auto_class.from_pretrained(tmp_path)
    assert isinstance(loaded, Model)
    assert torch.equal(logits_of(loaded), logits_of(model))


def test_device_map_loads_the_same_model(model: Model, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    loaded = Model.from_pretrained(tmp_path, device_map={"": "cpu"})
    assert {parameter.device.type for parameter in loaded.parameters()} == {"cpu"}
    assert loaded.lm_head.weight is loaded.model.decoder.embed_tokens.weight
    assert torch.equal(logits_of(loaded), logits_of(model))


@pytest.mark.parametrize("kind", KINDS)
def test_resizing_changes_decoder_and_head_together(kind: str) -> None:
    model = tiny_model(kind)
    before = logits_of(model)
    model.resize_token_embeddings(130)
    assert model.config.text_config.vocab_size == 130
    assert model.config.encoder_config.vocab_size == model.model.encoder.embed_tokens.num_embeddings == 99
    assert model.lm_head.weight is model.model.decoder.embed_tokens.weight
    after = logits_of(model)
    assert after.shape == (3, 14, 130)
    assert torch.equal(after[..., :120], before)
    assert model(**tiny_inputs(), labels=tiny_labels()).loss.isfinite()
