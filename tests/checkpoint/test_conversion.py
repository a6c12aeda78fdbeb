"""Read checkpoints of the research code: whole ones give one model whatever their layout, odd ones are refused."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import KINDS, tiny_inputs, tiny_labels

from modeling_florenz import FlorenzForConditionalGeneration
from modeling_florenz.checkpoint.conversion import florenz_name, load_research_checkpoint


GOLDEN = Path(__file__).parents[3] / "shared" / "golden"
HEAD, TABLE = "language_model.lm_head.weight", "language_model.model.decoder.embed_tokens.weight"

pytestmark = pytest.mark.skipif(
    not GOLDEN.is_dir(), reason="the research code's checkpoints are not beside the repository, in ../shared/golden"
)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def copy_checkpoint(kind: str, folder: Path) -> Path:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / kind / name, folder / name)
    return folder


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def change_config(folder: Path, path: str, value: Any) -> None:
    """Set one value, or delete it if it is `...`; `path` has dots between its levels."""
    config = json.loads((folder / "config.json").read_text())
    *parents, name = path.split(".")
    section = config
    for parent in parents:
        section = section[parent]
    if value is ...:
        del section[name]
    else:
        section[name] = value
    (folder / "config.json").write_text(json.dumps(config))


def shard(folder: Path, shards: int = 3) -> dict[str, str]:
    """Split the only file, give the map from tensor to shard and write it as index."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    weight_map = {name: f"model-{index % shards + 1}.safetensors" for index, name in enumerate(sorted(tensors))}
    for file in set(weight_map.values()):
        save_file({name: tensors[name] for name in tensors if weight_map[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return weight_map


def assert_refused(folder: Path, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        load_research_checkpoint(folder)
    assert not re.search(r"\n|[.!?] ", str(error.value)), "a message is one sentence"


@torch.no_grad()
def logits_of(model: FlorenzForConditionalGeneration) -> torch.Tensor:
    return model(**tiny_inputs(), labels=tiny_labels()).logits


@pytest.fixture(scope="module")
def expected() -> dict[str, torch.Tensor]:
    return {kind: logits_of(load_research_checkpoint(GOLDEN / kind)) for kind in KINDS}


# Names


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


# Whole checkpoints


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


# Configuration


@pytest.mark.parametrize(
    ("kind", "path", "value", "message"),
    [
        ("bart", "surprise", 3, "surprise = 3 is unknown"),
        ("bart", "text_config.surprise", "x", r"text_config\.surprise = 'x' is unknown"),
        ("bart", "vision_config.surprise", 0.5, r"vision_config\.surprise = 0\.5 is unknown"),
        ("gemma2", "text_config.gemma_config.surprise", 1, r"text_config\.gemma_config\.surprise = 1 is unknown"),
        ("bart", "text_config.normalize_before", True, r"normalize_before is True; only False can be converted"),
        ("bart", "text_config.add_bias_logits", True, r"add_bias_logits is True; only False"),
        ("bart", "text_config.tie_word_embeddings", False, r"text_config\.tie_word_embeddings is False; only True"),
        ("bart", "tie_word_embeddings", False, r"tie_word_embeddings is False; only True"),
        ("gemma2", "text_config.gemma_config.encoder_attn_every_x_layers", 2, "every_x_layers is 2; only 1"),
        ("bart", "vision_config.image_feature_source", ["last_frame"], r"source is \['last_frame'\]; only"),
        ("bart", "vision_config.image_pos_embed.type", "sine", r"image_pos_embed is not the 'learned_abs_2d'"),
        ("bart", "vision_config.image_pos_embed", 50, r"image_pos_embed is not the 'learned_abs_2d'"),
        ("bart", "vision_config.visual_temporal_embedding.more", 1, r"temporal_embedding is not the 'COSINE'"),
        ("bart", "text_config.d_model", ..., r"text_config\.d_model is missing"),
        ("bart", "text_config.encoder_layers", ..., r"text_config\.encoder_layers is missing"),
        ("bart", "vision_config.window_size", ..., r"vision_config\.window_size is missing"),
        ("bart", "text_config", ..., "text_config is missing"),
        ("bart", "text_config", "bart", "text_config is str, not an object"),
        ("gemma2", "text_config.gemma_config", 5, "gemma_config is int, not an object"),
        ("bart", "projection_dim", 64, r"projection_dim must have one value, .* \[32, 64\]"),
        ("bart", "encoder_vocab_size", 98, r"encoder_vocab_size must have one value, .* \[98, 99\]"),
        ("bart", "vocab_size", 119, r"vocab_size must have one value, .* \[119, 120\]"),
        ("bart", "text_config.eos_token_id", 2, r"text_config\.eos_token_id is 2, but eos_token_id is 1"),
        ("gemma2", "text_config.gemma_config.pad_token_id", 3, "gemma_config.pad_token_id is 3, but .* is 0"),
        (
            "gemma2",
            "text_config.gemma_config.encoder_hidden_size",
            31,
            r"encoder_hidden_size must have one value, .* \[31, 32\]",
        ),
        ("gemma2", "text_config.gemma_config.num_key_value_heads", 3, "num_key_value_heads is 3"),
        ("bart", "text_config.decoder_layers", "two", "'decoder_layers' with value 'two'"),
        ("bart", "projection_dim", "32", r"projection_dim must have one value, .* \['32', 32\]"),
        ("bart", "pad_token_id", None, "pad_token_id is "),
    ],
)
def test_config_value_without_a_counterpart_is_refused(
    kind: str, path: str, value: Any, message: str, tmp_path: Path
) -> None:
    folder = copy_checkpoint(kind, tmp_path)
    change_config(folder, path, value)
    assert_refused(folder, message)


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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text_config": ', r"config\.json could not be read"),
        ("[]", "the file is list, not an object"),
        (b"\xff\xfe\x00", r"config\.json could not be read"),
        (None, r"config\.json does not exist: give the folder of a checkpoint"),
    ],
)
def test_config_that_is_no_json_object_is_refused(content: str | bytes | None, message: str, tmp_path: Path) -> None:
    folder = copy_checkpoint("bart", tmp_path)
    path = folder / "config.json"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert_refused(folder, message)


# Tensors


def test_unknown_tensor_is_refused(kind: str, tmp_path: Path) -> None:
    folder = copy_checkpoint(kind, tmp_path)
    change_tensors(folder, lambda tensors: tensors.update({"language_model.final_logits_bias": torch.zeros(120)}))
    assert_refused(folder, r"tensor language_model\.final_logits_bias is unknown")


def test_cross_attention_of_the_other_kind_is_refused(tmp_path: Path) -> None:
    folder = copy_checkpoint("bart", tmp_path)
    name = "language_model.model.decoder.layers.0.encoder_attn_gate"
    change_tensors(folder, lambda tensors: tensors.update({name: torch.zeros(1)}))
    assert_refused(folder, rf"tensor {re.escape(name)} is unknown")


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("image_projection", "model.multi_modal_projector.image_projection.weight"),
        (
            "visual_temporal_embed.pos_idx_to_embed",
            "model.multi_modal_projector.visual_temporal_embed.pos_idx_to_embed",
        ),
        (TABLE, "model.decoder.embed_tokens.weight"),
    ],
)
def test_missing_tensor_is_refused(kind: str, name: str, ours: str, tmp_path: Path) -> None:
    folder = copy_checkpoint(kind, tmp_path)
    change_tensors(folder, lambda tensors: tensors.pop(name))
    assert_refused(folder, rf"lacks 1 tensors, the first is {re.escape(ours)}")


def test_tensor_of_a_wrong_shape_is_refused(kind: str, tmp_path: Path) -> None:
    folder = copy_checkpoint(kind, tmp_path)
    name = "language_model.model.encoder.layers.1.fc1.weight"
    change_tensors(folder, lambda tensors: tensors.update({name: tensors[name].T.contiguous()}))
    assert_refused(folder, rf"tensor {re.escape(name)} has shape \[32, 64\], but the config asks for \[64, 32\]")


@pytest.mark.parametrize("first", ["head", "table"])
def test_head_that_differs_from_its_embedding_is_refused(kind: str, first: str, tmp_path: Path) -> None:
    folder = copy_checkpoint(kind, tmp_path)
    change_tensors(folder, lambda tensors: tensors.update({HEAD: tensors[TABLE] + 1e-3}))
    weight_map = shard(folder, shards=1)
    # In a shard of its own, read before the rest or after it.
    rest = load_file(folder / "model-1.safetensors")
    own = {"head": "model-0.safetensors", "table": "model-2.safetensors"}[first]
    save_file({HEAD: rest.pop(HEAD)}, folder / own)
    save_file(rest, folder / "model-1.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {**weight_map, HEAD: own}}))
    assert_refused(folder, r"tensors language_model\.\S+ and language_model\.\S+ differ, but they are tied")


def test_head_in_the_same_file_that_differs_is_refused(kind: str, tmp_path: Path) -> None:
    folder = copy_checkpoint(kind, tmp_path)
    change_tensors(folder, lambda tensors: tensors.update({HEAD: tensors[TABLE] + 1e-3}))
    assert_refused(folder, r"tensors language_model\.\S+ and language_model\.\S+ differ, but they are tied")


def test_tensor_in_two_shards_is_refused(kind: str, tmp_path: Path) -> None:
    folder = copy_checkpoint(kind, tmp_path)
    shard(folder)
    second = load_file(folder / "model-2.safetensors")
    name = next(iter(load_file(folder / "model-1.safetensors")))
    second[name] = load_file(folder / "model-1.safetensors")[name]
    save_file(second, folder / "model-2.safetensors")
    assert_refused(folder, rf"the tensor {re.escape(name)} is both in model-1.safetensors and in model-2.safetensors")


# Files


def test_missing_shard_is_refused(tmp_path: Path) -> None:
    folder = copy_checkpoint("bart", tmp_path)
    shard(folder)
    (folder / "model-2.safetensors").unlink()
    assert_refused(folder, r"lacks the shard model-2\.safetensors, which its index names")


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("{", r"index\.json could not be read"),
        ("{}", "names no shard, or one outside its folder"),
        ("[]", "names no shard, or one outside its folder"),
        ('{"weight_map": ["a"]}', "names no shard, or one outside its folder"),
        ('{"weight_map": {"a": 5}}', "names no shard, or one outside its folder"),
        ('{"weight_map": {"a": "../model.safetensors"}}', "names no shard, or one outside its folder"),
    ],
)
def test_index_that_names_no_file_of_the_folder_is_refused(index: str, message: str, tmp_path: Path) -> None:
    folder = copy_checkpoint("bart", tmp_path)
    (folder / "model.safetensors.index.json").write_text(index)
    assert_refused(folder, message)


def test_pickled_weights_are_refused_unread(tmp_path: Path) -> None:
    folder = copy_checkpoint("bart", tmp_path)
    (folder / "model.safetensors").unlink()
    assert_refused(folder, r"holds no model\.safetensors")
    (folder / "pytorch_model.bin").write_bytes(b"never opened")
    assert_refused(folder, r"only pickled weights \(pytorch_model\.bin\), which can run code: use safetensors")


@pytest.mark.parametrize("kept", [4, 1000, -1])
def test_truncated_file_is_refused(kept: int, tmp_path: Path) -> None:
    folder = copy_checkpoint("bart", tmp_path)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    assert_refused(folder, r"model\.safetensors could not be read as safetensors")
