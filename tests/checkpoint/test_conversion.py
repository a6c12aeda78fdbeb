"""A checkpoint of the research code becomes the same model, name by name and value by value."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from checkpoint_changes import GOLDEN, HEAD, TABLE, change_config, change_tensors, copy_checkpoint, shard
from research_checkpoint import write_research_checkpoint
from safetensors.torch import load_file
from tiny_models import KINDS, tiny_config, tiny_inputs, tiny_labels

from modeling_florenz import FlorenzForConditionalGeneration
from modeling_florenz.checkpoint.conversion import florenz_name, load_research_checkpoint


pytestmark = pytest.mark.skipif(
    not GOLDEN.is_dir(), reason="the research code's checkpoints are not beside the repository, in ../shared/golden"
)


@torch.no_grad()
def logits_of(model: FlorenzForConditionalGeneration) -> torch.Tensor:
    return model(**tiny_inputs(), labels=tiny_labels()).logits


@pytest.fixture(scope="module")
def expected() -> dict[str, torch.Tensor]:
    return {kind: logits_of(load_research_checkpoint(GOLDEN / kind)) for kind in KINDS}


def test_every_name_has_one_counterpart_and_only_the_tied_head_is_left(kind: str) -> None:
    research = load_file(GOLDEN / kind / "model.safetensors")
    ours = [florenz_name(name, kind) for name in research]
    assert len(set(ours)) == len(ours)
    state = load_research_checkpoint(GOLDEN / kind).state_dict()
    assert set(state) - set(ours) == {"lm_head.weight"}
    assert set(ours) <= set(state)
    assert florenz_name(HEAD, kind) == "lm_head.weight"


def test_every_value_arrives_and_one_is_transposed(kind: str) -> None:
    state = load_research_checkpoint(GOLDEN / kind).state_dict()
    for name, tensor in load_file(GOLDEN / kind / "model.safetensors").items():
        assert torch.equal(state[florenz_name(name, kind)], tensor.T if name == "image_projection" else tensor), name


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("vision_tower.convs.2.proj.bias", "model.vision_tower.convs.2.conv.bias"),
        (
            "vision_tower.blocks.2.10.spatial_block.window_attn.fn.proj.weight",
            "model.vision_tower.blocks.2.10.spatial_block.window_attn.proj.weight",
        ),
        (
            "vision_tower.blocks.0.0.channel_block.channel_attn.norm.bias",
            "model.vision_tower.blocks.0.0.channel_block.norm1.bias",
        ),
        ("image_pos_embed.row_embeddings.weight", None),
        ("language_model.model.encoder.layers.11.fc1.bias", "model.encoder.layers.11.fc1.bias"),
    ],
)
def test_names_are_translated_as_a_whole(kind: str, name: str, ours: str | None) -> None:
    ours = ours or "model.multi_modal_projector.image_position_embed.row_embeddings.weight"
    assert florenz_name(name, kind) == ours


def test_cross_attention_is_renamed_for_gemma2_alone() -> None:
    name = "language_model.model.decoder.layers.25.encoder_attn.q_proj.weight"
    assert florenz_name(name, "gemma2") == "model.decoder.layers.25.cross_attn.q_proj.weight"
    assert florenz_name(name, "bart") == "model.decoder.layers.25.encoder_attn.q_proj.weight"


def test_model_is_in_eval_mode_and_float32(kind: str, tmp_path: Path) -> None:
    folder = copy_checkpoint(kind, tmp_path)
    change_tensors(folder, lambda tensors: tensors.update({name: tensors[name].half() for name in tensors}))
    model = load_research_checkpoint(folder)
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("head", ["left out", "equal"])
def test_file_may_hold_the_tied_head_or_not(kind: str, head: str, expected: dict, tmp_path: Path) -> None:
    folder = copy_checkpoint(kind, tmp_path)
    if head == "equal":
        change_tensors(folder, lambda tensors: tensors.update({HEAD: tensors[TABLE].clone()}))
    assert (HEAD in load_file(folder / "model.safetensors")) == (head == "equal")
    assert torch.equal(logits_of(load_research_checkpoint(folder)), expected[kind])


def test_sharded_checkpoint_gives_the_same_model(kind: str, expected: dict, tmp_path: Path) -> None:
    folder = copy_checkpoint(kind, tmp_path)
    shard(folder)
    assert len(list(folder.glob("*.safetensors"))) == 3
    assert torch.equal(logits_of(load_research_checkpoint(folder)), expected[kind])


def test_generation_settings_are_taken_over(kind: str) -> None:
    settings = load_research_checkpoint(GOLDEN / kind).generation_config
    assert (settings.num_beams, settings.no_repeat_ngram_size, settings.early_stopping) == (4, 3, True)
    forced = (settings.forced_bos_token_id, settings.forced_eos_token_id)
    assert forced == {"bart": (2, 1), "gemma2": (None, None)}[kind]
    assert (settings.decoder_start_token_id, settings.pad_token_id, settings.eos_token_id) == (1, 0, 1)


def test_model_saved_again_is_the_same(kind: str, expected: dict, tmp_path: Path) -> None:
    load_research_checkpoint(GOLDEN / kind).save_pretrained(tmp_path)
    assert torch.equal(logits_of(FlorenzForConditionalGeneration.from_pretrained(tmp_path)), expected[kind])


def test_config_value_reaches_the_model(tmp_path: Path) -> None:
    folder = copy_checkpoint("gemma2", tmp_path)
    changes = {
        "text_config.gemma_config.attn_logit_softcapping": 7.0,
        "text_config.gemma_config.rope_theta": 500.0,
        "text_config.gemma_config.sliding_window": 5,
        "text_config.dropout": 0.3,
        "vision_config.drop_path_rate": 0.2,
    }
    for path, value in changes.items():
        change_config(folder, path, value)
    config = load_research_checkpoint(folder).config
    assert config.text_config.attn_logit_softcapping == 7.0
    assert config.text_config.rope_parameters["rope_theta"] == 500.0
    assert config.text_config.sliding_window == 5
    assert config.encoder_config.dropout == 0.3
    assert config.vision_config.drop_path_rate == 0.2


def test_cross_attention_in_every_second_layer_is_converted(tmp_path: Path) -> None:
    config = tiny_config("gemma2", cross_attention_every_n_layers=2)
    model = load_research_checkpoint(write_research_checkpoint(tmp_path, config))
    assert [layer.has_cross_attention for layer in model.model.decoder.layers] == [True, False, True, False]
    assert logits_of(model).isfinite().all()


def test_layers_without_cross_attention_add_what_closed_gates_would(tmp_path: Path) -> None:
    closed, left_out = copy_checkpoint("gemma2", tmp_path), tmp_path / "left out"
    left_out.mkdir()
    copy_checkpoint("gemma2", left_out)

    def of_odd_layers(names: Iterable[str], part: str) -> list[str]:
        return [name for name in names if re.search(rf"decoder\.layers\.\d*[13579]\.{part}", name)]

    def close(tensors: dict[str, torch.Tensor]) -> None:
        tensors.update({name: tensors[name] * 0 for name in of_odd_layers(tensors, "encoder_attn_gate")})

    def leave_out(tensors: dict[str, torch.Tensor]) -> None:
        for name in of_odd_layers(list(tensors), "(encoder_attn|post_encoder_attention)"):
            del tensors[name]

    change_tensors(closed, close)
    change_tensors(left_out, leave_out)
    change_config(left_out, "text_config.gemma_config.encoder_attn_every_x_layers", 2)
    wanted, found = load_research_checkpoint(closed), load_research_checkpoint(left_out)
    torch.testing.assert_close(logits_of(found), logits_of(wanted))
    assert (logits_of(found) - logits_of(load_research_checkpoint(GOLDEN / "gemma2"))).abs().max() > 1e-3
    search = {"num_beams": 3, "min_new_tokens": 6, "max_new_tokens": 12}
    assert torch.equal(found.generate(**tiny_inputs(), **search), wanted.generate(**tiny_inputs(), **search))
