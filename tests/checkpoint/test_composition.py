"""Compose Florenz from its base models: every weight has one place, and with gates at 0 the decoder is Gemma-2."""

import random
from pathlib import Path

import pytest
import torch
from base_models import every_id_is_itself, florence_folder, gemma_folder
from safetensors.torch import load_file, save_file
from tiny_models import KINDS, tiny_config, tiny_inputs
from transformers import Florence2ForConditionalGeneration, Gemma2ForCausalLM

from modeling_florenz import FlorenzConfig, FlorenzForConditionalGeneration
from modeling_florenz.checkpoint import composition
from modeling_florenz.checkpoint.composition import plan_composition
from modeling_florenz.checkpoint.conversion import expected_shapes, fill_model, generation_settings
from modeling_florenz.checkpoint.model_folder import write_model_folder
from modeling_florenz.sizes import config_from_size


LAYOUTS = ("old", "native")


@pytest.fixture
def compose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Compose a tiny Florenz; a BART decoder's vocabulary has 110 known tokens of its 120, the encoder's 90 of 99."""
    monkeypatch.setattr(composition, "load_florence_tokenizer", lambda folder: range(90))
    monkeypatch.setattr(composition, "load_gemma_tokenizer", lambda folder: None)
    monkeypatch.setattr(composition, "gemma_to_florence", lambda gemma, florence: every_id_is_itself(110, 90))

    def run(config: FlorenzConfig, layout: str = "native", dtype: torch.dtype = torch.float32):
        florence = florence_folder(tmp_path / f"florence-{layout}", config, layout)
        gemma = tmp_path / "gemma"
        if config.text_config.model_type == "gemma2":
            gemma_folder(gemma, config)
        return plan_composition(config, florence, gemma, dtype)

    return run


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_tensor_has_one_place(kind: str, layout: str, compose) -> None:
    config = tiny_config(kind)
    tensors = compose(config, layout)
    assert {tensor.name: tensor.shape for tensor in tensors} == expected_shapes(config)


@pytest.mark.parametrize("kind", KINDS)
def test_both_layouts_give_the_same_model(kind: str, compose) -> None:
    old, native = (
        fill_model(tiny_config(kind), compose(tiny_config(kind), layout)).state_dict() for layout in LAYOUTS
    )
    assert all(torch.equal(old[name], native[name]) for name in native)


def test_image_features_and_encoder_are_those_of_florence(compose, tmp_path: Path) -> None:
    model = fill_model(tiny_config("gemma2"), compose(tiny_config("gemma2")))
    florence = Florence2ForConditionalGeneration.from_pretrained(tmp_path / "florence-native").eval()
    inputs = tiny_inputs()
    with torch.no_grad():
        ours = model.get_image_features(inputs["pixel_values"]).pooler_output
        theirs = florence.get_image_features(inputs["pixel_values"]).pooler_output
        theirs = theirs if isinstance(theirs, torch.Tensor) else torch.stack(list(theirs))
        assert torch.equal(ours, theirs)
        ids = inputs["input_ids"]
        left = model.model.encoder(input_ids=ids).last_hidden_state
        assert torch.equal(left, florence.model.language_model.encoder(input_ids=ids).last_hidden_state)


def gemma_logits(folder: Path, ids: torch.Tensor) -> torch.Tensor:
    gemma = Gemma2ForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        return gemma(input_ids=ids).logits


def florenz_logits(model: FlorenzForConditionalGeneration, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(**tiny_inputs(), decoder_input_ids=ids).logits


def test_with_gates_at_zero_the_logits_are_those_of_gemma(compose, tmp_path: Path) -> None:
    model = fill_model(tiny_config("gemma2"), compose(tiny_config("gemma2")))
    ids = torch.randint(3, 120, (3, 12), generator=torch.Generator().manual_seed(0))
    ours, theirs = florenz_logits(model, ids), gemma_logits(tmp_path / "gemma", ids)
    assert (ours - theirs).abs().max() == 0.0
    for layer in model.model.decoder.layers:
        layer.cross_attn_gate.weight.data.fill_(0.1)
    assert (florenz_logits(model, ids) - theirs).abs().max() > 1e-3


@pytest.mark.slow
def test_at_the_width_of_2b_the_logits_are_those_of_gemma(compose, tmp_path: Path) -> None:
    real = config_from_size("3.5b").text_config.to_dict()
    known = ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads", "head_dim")
    config = tiny_config("gemma2", **{key: real[key] for key in known}, query_pre_attn_scalar=256)
    model = fill_model(config, compose(config))
    ids = torch.randint(3, 120, (3, 12), generator=torch.Generator().manual_seed(0))
    assert (florenz_logits(model, ids) - gemma_logits(tmp_path / "gemma", ids)).abs().max() == 0.0


def test_new_weights_are_as_the_paper_starts_them(compose) -> None:
    state = fill_model(tiny_config("gemma2"), compose(tiny_config("gemma2"))).state_dict()
    for name, tensor in state.items():
        if name.endswith("cross_attn_gate.weight"):
            assert tensor.item() == 0.0
        elif "post_cross_attn_layernorm" in name:
            assert torch.equal(tensor, state[name.replace("post_cross_attn", "post_attention")])
        elif ".cross_attn." in name:
            assert tensor.std().item() == pytest.approx(0.02, rel=0.1)
    again = fill_model(tiny_config("gemma2"), compose(tiny_config("gemma2"))).state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in state.items())


def test_vocabulary_of_a_bart_decoder_is_averaged(compose, tmp_path: Path) -> None:
    state = fill_model(tiny_config("bart"), compose(tiny_config("bart"))).state_dict()
    table = load_file(tmp_path / "florence-native" / "model.safetensors")["model.language_model.shared.weight"]
    encoder, decoder = state["model.encoder.embed_tokens.weight"], state["model.decoder.embed_tokens.weight"]
    assert torch.equal(encoder[:90], table[:90])
    assert not torch.equal(encoder[90:], table[90:])
    torch.testing.assert_close(decoder[:89], (table[:89] + table[1:90]) / 2)
    torch.testing.assert_close(decoder[89], (table[89] + table[0]) / 2)
    assert decoder[110:].std().item() == pytest.approx(0.02, rel=0.15)


@pytest.mark.parametrize("seed", range(6))
def test_random_shapes_survive_composition_writing_and_loading(seed: int, compose, tmp_path: Path) -> None:
    draw = random.Random(seed)
    heads = draw.choice([2, 4])
    config = tiny_config(
        "gemma2",
        hidden_size=heads * draw.choice([8, 12]),
        intermediate_size=draw.choice([32, 40]),
        num_hidden_layers=draw.choice([1, 2, 3]),
        num_attention_heads=heads,
        num_key_value_heads=draw.choice([1, 2]),
        head_dim=draw.choice([8, 16]),
    )
    tensors = compose(config, draw.choice(LAYOUTS), draw.choice([torch.float32, torch.bfloat16]))
    folder = write_model_folder(
        tmp_path / "out", config, tensors, generation_settings(config), None, "A test.", 20_000, verify=True
    )
    loaded = FlorenzForConditionalGeneration.from_pretrained(folder)
    expected = fill_model(config, tensors).to(loaded.dtype).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.state_dict().items())


def change(folder: Path, **tensors: torch.Tensor | None) -> None:
    state = load_file(folder / "model.safetensors")
    for name, tensor in tensors.items():
        if tensor is None:
            del state[name]
        else:
            state[name] = tensor
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("source", "tensors", "message"),
    [
        ("gemma", {"model.norm.weight": None}, r"gemma lacks the tensor model\.decoder\.norm\.weight"),
        ("gemma", {"model.norm.weight": torch.ones(7)}, r"model\.norm\.weight has shape \[7\]"),
        ("gemma", {"model.extra": torch.ones(7)}, "1 tensors of the sources have no place, the first is model.extra"),
        ("gemma", {"lm_head.weight": torch.ones(120, 48)}, "should be tied, but differ"),
        ("florence", {"model.language_model.encoder.layernorm_embedding.bias": None}, "florence lacks the tensor"),
        ("florence", {"model.language_model.shared.weight": torch.ones(50, 32)}, "50 vocabulary rows, but 99"),
        ("florence", {"model.language_model.shared.weight": torch.ones(99, 16)}, "is 16 wide"),
        ("florence", {"lm_head.weight": torch.ones(99, 32)}, "should be one weight, but differ"),
    ],
)
def test_odd_sources_are_refused(source: str, tensors: dict, message: str, tmp_path: Path) -> None:
    config = tiny_config("gemma2")
    folders = {
        "florence": florence_folder(tmp_path / "florence", config, "native"),
        "gemma": gemma_folder(tmp_path / "gemma", config),
    }
    change(folders[source], **tensors)
    with pytest.raises(ValueError, match=message) as error:
        plan_composition(config, folders["florence"], folders["gemma"], torch.float32)
    assert "\n" not in str(error.value)


def test_a_gemma_of_another_size_is_refused(tmp_path: Path) -> None:
    config = tiny_config("gemma2")
    florence = florence_folder(tmp_path / "florence", config, "native")
    gemma = gemma_folder(tmp_path / "gemma", tiny_config("gemma2", num_hidden_layers=3))
    with pytest.raises(ValueError, match="num_hidden_layers is 3, but this size of Florenz needs 4"):
        plan_composition(config, florence, gemma, torch.float32)


def test_swapped_sources_are_refused(tmp_path: Path) -> None:
    config = tiny_config("gemma2")
    florence = florence_folder(tmp_path / "florence", config, "native")
    gemma = gemma_folder(tmp_path / "gemma", config)
    with pytest.raises(ValueError, match="is not a Florence-2 checkpoint"):
        plan_composition(config, gemma, florence, torch.float32)
