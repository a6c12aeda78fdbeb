"""LoRA by part: which layers, how many parameters, and that nothing is lost by saving, merging or switching."""

import importlib.metadata

import pytest
import torch
from peft import PeftModel, get_peft_model
from tiny_models import KINDS, tiny_inputs, tiny_labels, tiny_model

from modeling_florenz import FlorenzConfig, FlorenzForConditionalGeneration
from modeling_florenz.sizes import config_from_size
from modeling_florenz.training.adapters import LORA_PARTS, add_adapter, lora_config


SIZES = ("0.4b", "1.0b", "3.5b", "11.2b")
RANK = 8


def _linear_shapes(config: FlorenzConfig, parts: str) -> list[tuple[int, int]]:
    """Write down the (in, out) widths of the layers a preset takes, from the configuration alone."""
    wide = config.encoder_config.d_model
    text = config.text_config
    shapes: list[tuple[int, int]] = []
    if text.model_type == "bart":
        inner, count = text.decoder_ffn_dim, text.decoder_layers
        cross = [(text.d_model, text.d_model)] * 4
        rest = [(text.d_model, text.d_model)] * 4 + [(text.d_model, inner), (inner, text.d_model)]
    else:
        width, inner, count = text.hidden_size, text.intermediate_size, text.num_hidden_layers
        queries, keys = text.num_attention_heads * text.head_dim, text.num_key_value_heads * text.head_dim
        cross = [(width, queries), (wide, keys), (wide, keys), (queries, width)]
        rest = [(width, queries), (width, keys), (width, keys), (queries, width)]
        rest += [(width, inner), (width, inner), (inner, width)]
    shapes += cross * count
    if parts != "cross_attention":
        shapes += rest * count
    if parts in ("encoder+decoder", "all-linear"):
        inner = config.encoder_config.encoder_ffn_dim
        layer = [(wide, wide)] * 4 + [(wide, inner), (inner, wide)]
        shapes += layer * config.encoder_config.encoder_layers
    if parts == "all-linear":
        shapes.append((config.vision_config.embed_dim[-1], config.vision_config.projection_dim))
    return shapes


COUNTS = {
    ("0.4b", "cross_attention"): 294_912,
    ("0.4b", "decoder"): 958_464,
    ("0.4b", "encoder+decoder"): 1_622_016,
    ("0.4b", "all-linear"): 1_636_352,
    ("1.0b", "cross_attention"): 786_432,
    ("1.0b", "decoder"): 2_555_904,
    ("1.0b", "encoder+decoder"): 4_325_376,
    ("1.0b", "all-linear"): 4_349_952,
}

# The larger size of each decoder kind takes seconds to lay out, without weights.
LARGER = ("1.0b", "11.2b")


@pytest.mark.parametrize("size", [pytest.param(size, marks=[pytest.mark.slow] * (size in LARGER)) for size in SIZES])
def test_presets_train_these_parameters_and_no_others_at_every_size(size):
    for parts in LORA_PARTS:
        with torch.device("meta"):
            model = FlorenzForConditionalGeneration(config_from_size(size))
            wrapped = add_adapter(model, lora_config(model, parts, RANK))
        trained = {name: p.numel() for name, p in wrapped.named_parameters() if p.requires_grad}
        lora = sum(count for name, count in trained.items() if "lora_" in name)
        assert lora == RANK * sum(sum(shape) for shape in _linear_shapes(model.config, parts)), parts
        text = model.config.text_config
        beside = {name: count for name, count in trained.items() if "lora_" not in name}
        if text.model_type == "bart":
            assert not beside
        else:
            assert sum(beside.values()) == text.num_hidden_layers * (1 + text.hidden_size)
            assert all("cross_attn_gate" in name or "post_cross_attn_layernorm" in name for name in beside)
        assert not [name for name in trained if "vision_tower" in name]
        if (size, parts) in COUNTS:
            assert sum(trained.values()) == COUNTS[size, parts]


def _shake(wrapped, seed=0, scale=0.2):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.add_(scale * torch.randn(parameter.shape, generator=generator))


def _logits(model):
    with torch.no_grad():
        return model(**tiny_inputs(), labels=tiny_labels()).logits


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_adapter_is_the_same_one_again(kind, tmp_path):
    wrapped = add_adapter(model := tiny_model(kind), lora_config(model, "encoder+decoder", 4, embedding_rows=[3, 7]))
    _shake(wrapped)
    wrapped.eval().save_pretrained(tmp_path, save_embedding_layers=False)
    again = PeftModel.from_pretrained(tiny_model(kind), tmp_path).eval()
    assert torch.equal(_logits(again), _logits(wrapped))
    assert not torch.allclose(_logits(again), _logits(tiny_model(kind)), atol=1e-2)
    assert (tmp_path / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize("kind", KINDS)
def test_a_merged_model_is_a_plain_florenz_with_its_tie(kind, tmp_path):
    torch.manual_seed(0)  # peft draws the first half of each pair
    wrapped = add_adapter(model := tiny_model(kind), lora_config(model, "all-linear", 4, embedding_rows=[3, 7]))
    _shake(wrapped, scale=0.05)  # so small that the depth of BART does not amplify rounding
    wrapped.eval()
    logits = _logits(wrapped)
    ids = wrapped.generate(**tiny_inputs(), max_new_tokens=8, do_sample=False)
    merged = wrapped.merge_and_unload()
    merged.save_pretrained(tmp_path)
    again = FlorenzForConditionalGeneration.from_pretrained(tmp_path).eval()
    assert again.lm_head.weight is again.model.decoder.embed_tokens.weight
    assert again.config.tie_word_embeddings
    assert (_logits(again) - logits).abs().max() < 1e-4
    assert torch.equal(again.generate(**tiny_inputs(), max_new_tokens=8, do_sample=False), ids)


def test_two_adapters_are_switched_on_one_base(tmp_path):
    for seed in (1, 2):
        wrapped = add_adapter(model := tiny_model("gemma2"), lora_config(model, "decoder", 4))
        _shake(wrapped, seed)
        wrapped.save_pretrained(tmp_path / str(seed), save_embedding_layers=False)
    both = PeftModel.from_pretrained(tiny_model("gemma2"), tmp_path / "1", adapter_name="one")
    both.load_adapter(tmp_path / "2", adapter_name="two")
    found = {}
    for name in ("one", "two", "one"):
        both.set_adapter(name)
        both.eval()
        logits = _logits(both)
        assert name not in found or torch.equal(found[name], logits)
        found[name] = logits
    for seed, name in ((1, "one"), (2, "two")):
        alone = PeftModel.from_pretrained(tiny_model("gemma2"), tmp_path / str(seed)).eval()
        assert torch.allclose(_logits(alone), found[name], atol=1e-6)
    with both.disable_adapter():
        assert torch.equal(_logits(both), _logits(tiny_model("gemma2")))


@pytest.mark.parametrize("switch", ["use_dora", "use_rslora"])
def test_dora_and_rslora_are_switches_of_peft(switch):
    config = lora_config(model := tiny_model("gemma2"), "cross_attention", 4, **{switch: True})
    assert getattr(config, switch)
    wrapped = add_adapter(model, config)
    wrapped(**tiny_inputs(), labels=tiny_labels(), loss_chunk_size=8).loss.backward()
    gradients = [p.grad for p in wrapped.parameters() if p.requires_grad]
    assert all(gradient is not None for gradient in gradients)


def test_a_step_changes_the_chosen_rows_of_the_embedding_and_no_others():
    wrapped = add_adapter(model := tiny_model("gemma2"), lora_config(model, "decoder", 4, embedding_rows=[5, 50]))
    before = model.get_input_embeddings().weight.detach().clone()
    optimizer = torch.optim.SGD([p for p in wrapped.parameters() if p.requires_grad], lr=1.0)
    labels = tiny_labels()
    labels[:, 3] = 50
    wrapped(**tiny_inputs(), labels=labels, loss_chunk_size=8).loss.backward()
    optimizer.step()
    after = wrapped.merge_and_unload().get_input_embeddings().weight
    changed = (after - before).abs().amax(-1).gt(0).nonzero().flatten().tolist()
    assert changed == [5, 50]


def test_an_unknown_part_is_refused():
    with pytest.raises(ValueError, match="lora_parts must be one of cross_attention, decoder"):
        lora_config(tiny_model("bart"), "vision")


@pytest.mark.parametrize("has_wanted_version", [True, False])
def test_add_adapter_works_or_names_what_does(has_wanted_version, monkeypatch):
    model, settings = tiny_model("bart"), lora_config(tiny_model("bart"), "decoder", rank=2)
    installed = importlib.metadata.version
    version = "99.0" if has_wanted_version else "0.21.2"
    with monkeypatch.context() as patch:
        patch.setattr(importlib.metadata, "version", lambda name: version if name == "peft" else installed(name))
        if has_wanted_version:
            model.add_adapter(settings)
            assert any("lora_A" in name for name, _ in model.named_parameters())
            with pytest.raises(ValueError, match="already exists") as error:
                model.add_adapter(settings)
            assert "get_peft_model" not in str(error.value)
            return
        with pytest.raises(ValueError, match=r"please use a version >= .*, or peft\.get_peft_model"):
            model.add_adapter(settings)
    assert get_peft_model(model, settings)(**tiny_inputs(), labels=tiny_labels()).logits.isfinite().all()
