"""A checkpoint that does not fit is refused in one sentence that names what is wrong."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_changes import GOLDEN, HEAD, TABLE, change_config, change_tensors, copy_checkpoint, shard
from safetensors.torch import load_file, save_file

from modeling_florenz.checkpoint.conversion import load_research_checkpoint


pytestmark = pytest.mark.skipif(
    not GOLDEN.is_dir(), reason="the research code's checkpoints are not beside the repository, in ../shared/golden"
)


def assert_refused(folder: Path, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        load_research_checkpoint(folder)
    assert not re.search(r"\n|[.!?] ", str(error.value)), "a message is one sentence"


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
        ("gemma2", "text_config.gemma_config.encoder_attn_every_x_layers", 0, "every_n_layers is 0: .*at least 1"),
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
