import json
from pathlib import Path
from typing import Any

import pytest
from tiny_models import KINDS, tiny_config, tiny_model
from transformers import BartConfig, Gemma2Config, LlamaConfig
from transformers.models.florence2.configuration_florence2 import Florence2VisionConfig

from modeling_florenz import FlorenzConfig
from modeling_florenz.sizes import SIZES, config_from_size


BASE_WIDTHS, LARGE_WIDTHS = [128, 256, 512, 1024], [256, 512, 1024, 2048]

# size: tower widths, encoder (width, layers, heads, ffn, positions, vocabulary),
# decoder (kind, width, layers, heads, key heads, ffn, vocabulary)
PUBLISHED = {
    "0.4b": (BASE_WIDTHS, (768, 6, 12, 3072, 1024, 51328), ("bart", 768, 6, 12, None, 3072, 257024)),
    "1.0b": (LARGE_WIDTHS, (1024, 12, 16, 4096, 4096, 51328), ("bart", 1024, 12, 16, None, 4096, 257024)),
    "3.5b": (LARGE_WIDTHS, (1024, 12, 16, 4096, 4096, 51289), ("gemma2", 2304, 26, 8, 4, 9216, 256000)),
    "11.2b": (LARGE_WIDTHS, (1024, 12, 16, 4096, 4096, 51289), ("gemma2", 3584, 42, 16, 8, 14336, 256000)),
}


@pytest.mark.parametrize("size", PUBLISHED)
def test_published_sizes_have_the_published_shape(size: str) -> None:
    config = config_from_size(size)
    vision, encoder, decoder = config.vision_config, config.encoder_config, config.text_config
    widths, encoder_shape, (kind, width, layers, heads, key_heads, ffn, vocab_size) = PUBLISHED[size]

    assert vision.embed_dim == widths
    assert vision.num_heads == vision.num_groups == [width // 32 for width in widths]
    assert (list(vision.depths), vision.window_size, vision.drop_path_rate) == ([1, 1, 9, 1], 12, 0.1)
    assert (
        encoder.d_model,
        encoder.encoder_layers,
        encoder.encoder_attention_heads,
        encoder.encoder_ffn_dim,
        encoder.max_position_embeddings,
        encoder.vocab_size,
    ) == encoder_shape
    assert (encoder.dropout, encoder.attention_dropout, encoder.activation_dropout) == (0.1, 0.1, 0.1)
    assert (encoder.bos_token_id, encoder.pad_token_id, encoder.eos_token_id) == (0, 1, 2)
    assert (decoder.model_type, decoder.hidden_size, decoder.num_hidden_layers) == (kind, width, layers)
    assert (decoder.num_attention_heads, decoder.vocab_size) == (heads, vocab_size)
    assert decoder.final_logit_softcapping == 30.0
    if kind == "bart":
        assert decoder.decoder_ffn_dim == ffn
        assert (decoder.dropout, decoder.attention_dropout, decoder.activation_dropout) == (0.1, 0.1, 0.1)
    else:
        assert (decoder.num_key_value_heads, decoder.intermediate_size) == (key_heads, ffn)
        assert (decoder.head_dim, decoder.query_pre_attn_scalar, decoder.sliding_window) == (256, 256, 4096)
        assert (decoder.attn_logit_softcapping, decoder.rms_norm_eps) == (50.0, 1e-6)
        assert decoder.layer_types[:2] == ["sliding_attention", "full_attention"]
        assert decoder.rope_parameters["rope_theta"] == 10000.0
    assert (config.pad_token_id, config.eos_token_id, config.bos_token_id, config.decoder_start_token_id) == (
        0,
        1,
        2,
        1,
    )
    assert config.cross_attention_every_n_layers == 1


def test_from_size_leaves_the_table_untouched_and_takes_other_fields() -> None:
    before = json.dumps(SIZES)
    config = config_from_size("3.5b", cross_attention_every_n_layers=2)
    assert config.text_config.cross_attention_every_n_layers == 2
    assert config_from_size("3.5b").text_config.cross_attention_every_n_layers == 1
    assert json.dumps(SIZES) == before


def test_unknown_size_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no size '7b'.*'0\.4b', '1\.0b', '3\.5b', '11\.2b'"):
        config_from_size("7b")


@pytest.mark.parametrize("kind", KINDS)
def test_json_round_trip_keeps_every_value(kind: str, tmp_path: Path) -> None:
    config = tiny_config(kind, final_logit_softcapping=12.5)
    config.save_pretrained(tmp_path)
    reloaded = FlorenzConfig.from_pretrained(tmp_path)
    assert reloaded.to_dict() == config.to_dict()
    assert reloaded.text_config.final_logit_softcapping == 12.5
    assert type(reloaded.text_config) is type(config.text_config)
    reloaded.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "config.json").read_text() == (tmp_path / "config.json").read_text()


def test_a_cap_that_is_switched_off_stays_off(tmp_path: Path) -> None:
    tiny_config("bart", final_logit_softcapping=None).save_pretrained(tmp_path)
    assert FlorenzConfig.from_pretrained(tmp_path).text_config.final_logit_softcapping is None
    assert tiny_config("bart").text_config.final_logit_softcapping == 30.0


@pytest.mark.parametrize("kind", KINDS)
def test_what_one_part_knows_of_another_is_derived(kind: str) -> None:
    config = tiny_config(kind)
    assert config.vision_config.projection_dim == config.encoder_config.d_model == 32
    assert config.text_config.cross_attention_hidden_size == 32
    assert config.text_config.is_decoder
    assert not config.encoder_config.is_decoder
    assert config.is_encoder_decoder
    assert config.tie_word_embeddings
    assert (config.text_config.pad_token_id, config.encoder_config.pad_token_id) == (0, 1)
    assert (config.text_config.eos_token_id, config.text_config.bos_token_id) == (1, 2)


def test_parts_may_be_config_objects() -> None:
    parts = tiny_config("gemma2")
    config = FlorenzConfig(
        vision_config=parts.vision_config, encoder_config=parts.encoder_config, text_config=parts.text_config
    )
    assert config.to_dict() == parts.to_dict()


def test_default_parts_have_the_documented_classes() -> None:
    config = FlorenzConfig()
    assert isinstance(config.vision_config, Florence2VisionConfig)
    assert isinstance(config.encoder_config, BartConfig)
    assert isinstance(config.text_config, Gemma2Config)


@pytest.mark.parametrize("kind", KINDS)
def test_decoder_is_found_as_the_generating_half(kind: str) -> None:
    config = tiny_config(kind)
    assert config.get_text_config(decoder=True) is config.text_config
    assert config.get_text_config(decoder=True).num_hidden_layers == {"bart": 2, "gemma2": 4}[kind]


def build(kind: str, top: dict[str, Any], **parts: dict[str, Any]) -> FlorenzConfig:
    values = tiny_config(kind).to_dict()
    for part, changes in parts.items():
        values[part] = {**values[part], **changes}
    return FlorenzConfig.from_dict({**values, **top})


@pytest.mark.parametrize(
    ("kind", "top", "parts", "message"),
    [
        ("gemma2", {}, {"text_config": {"model_type": "llama"}}, r"model_type is 'llama'.*\['bart', 'gemma2'\]"),
        ("gemma2", {"cross_attention_every_n_layers": 0}, {}, r"every_n_layers is 0: .*at least 1"),
        ("bart", {"cross_attention_every_n_layers": 2}, {}, r"every_n_layers is 2: a BART decoder .*every layer"),
        ("bart", {}, {"vision_config": {"num_heads": [2, 2, 4]}}, r"vision_config.num_heads is \[2, 2, 4\].*4 stages"),
        ("bart", {}, {"vision_config": {"num_heads": [2, 2, 4, 5]}}, r"num_heads has 5: it must divide.*128"),
        ("bart", {}, {"vision_config": {"num_groups": [3, 2, 4, 4]}}, r"num_groups has 3: it must divide.*16"),
        ("gemma2", {}, {"encoder_config": {"encoder_attention_heads": 5}}, r"d_model is 32: .*multiple of the 5"),
        ("bart", {}, {"text_config": {"d_model": 64}}, r"text_config.d_model is 64: .*encoder's 32"),
        ("gemma2", {}, {"text_config": {"num_key_value_heads": 3}}, r"key_value_heads is 3: it must divide the 4"),
        ("gemma2", {}, {"text_config": {"num_key_value_heads": 0}}, r"key_value_heads is 0: it must divide the 4"),
        ("bart", {}, {"encoder_config": {"encoder_attention_heads": 0}}, r"d_model is 32: .*multiple of the 0"),
        ("gemma2", {}, {"text_config": {"attn_logit_softcapping": 0.0}}, r"attn_logit_softcapping is 0.0: .*positive"),
        ("gemma2", {}, {"text_config": {"final_logit_softcapping": -3.0}}, r"final_logit_softcapping is -3.0"),
        ("bart", {}, {"text_config": {"final_logit_softcapping": float("nan")}}, r"softcapping is nan: .*positive"),
        ("bart", {}, {"text_config": {"final_logit_softcapping": float("inf")}}, r"softcapping is inf: .*positive"),
        ("bart", {}, {"text_config": {"final_logit_softcapping": "30"}}, r"softcapping is '30': .*positive"),
        ("bart", {"pad_token_id": 120}, {}, r"pad_token_id is 120: it must be one of the decoder's 120 ids"),
        ("gemma2", {"decoder_start_token_id": -1}, {}, r"decoder_start_token_id is -1: .*120 ids"),
        ("gemma2", {"pad_token_id": "0"}, {}, r"'pad_token_id' expected int, got str \(value: '0'\)$"),
        ("gemma2", {"vision_config": "davit"}, {}, r"vision_config is 'davit': it must be a configuration or a dict"),
        ("gemma2", {"vision_config": []}, {}, r"vision_config is \[\]: it must be a configuration or a dict"),
        ("gemma2", {"num_labels": 10**9}, {}, r"config.num_labels is 1000000000: use whole numbers from 0 to 128"),
        ("bart", {}, {"vision_config": {"window_size": 0}}, r"window_size is 0: use whole numbers from 1"),
        ("bart", {}, {"vision_config": {"window_size": -1}}, r"window_size is -1: use whole numbers from 1"),
        ("bart", {}, {"vision_config": {"window_size": "4"}}, r"'window_size' expected int, got str"),
        ("bart", {}, {"vision_config": {"depths": [1, 1, 10**9, 1]}}, r"depths is \[1, 1, 1000000000, 1\]: .*128"),
        ("bart", {}, {"vision_config": {"depths": [30, 40, 50, 60]}}, r"depths has 180 blocks: .*128"),
        ("bart", {}, {"vision_config": {"patch_stride": [4, 2, 0, 2]}}, r"patch_stride is \[4, 2, 0, 2\]: use whole"),
        ("bart", {}, {"encoder_config": {"encoder_layers": 10**9}}, r"encoder_layers is 1000000000: .*128"),
        ("bart", {}, {"encoder_config": {"vocab_size": 10**12}}, r"vocab_size is 1000000000000: .*16,777,216"),
        ("bart", {}, {"encoder_config": {"vocab_size": "99"}}, r"'vocab_size' expected int, got str \(value: '99'\)$"),
        ("bart", {}, {"vision_config": {"window_size": 9000}}, r"window_size is 9000: the first map .* has 400"),
        ("bart", {}, {"vision_config": {"patch_padding": [10**6, 1, 1, 1]}}, r"patch_padding has 1000000: use 0 to"),
        ("bart", {}, {"vision_config": {"patch_padding": [-1, 1, 1, 1]}}, r"patch_padding has -1: use 0 to"),
        ("bart", {}, {"encoder_config": {"dropout": 7.0}}, r"encoder_config.dropout is 7.0: it must be from 0 to 1"),
        ("gemma2", {}, {"text_config": {"rope_parameters": {"rope_type": "default", "rope_theta": 0}}}, r"theta is 0"),
        ("gemma2", {"is_encoder_decoder": False}, {}, r"is_encoder_decoder is False"),
        ("bart", {}, {"text_config": {"decoder_layers": 0}}, r"decoder_layers is 0: use whole numbers from 1"),
        ("gemma2", {}, {"text_config": {"num_hidden_layers": 10**9}}, r"hidden_layers is 1000000000: .*128"),
        ("gemma2", {}, {"text_config": {"num_attention_heads": 0}}, r"num_attention_heads is 0: use whole numbers"),
        ("gemma2", {}, {"text_config": {"sliding_window": 0}}, r"sliding_window is 0: use whole numbers from 1"),
        ("gemma2", {}, {"text_config": {"rms_norm_eps": float("nan")}}, r"rms_norm_eps is nan: .*positive"),
    ],
)
def test_bad_value_is_refused_with_its_name_and_the_rule(
    kind: str, top: dict[str, Any], parts: dict[str, dict[str, Any]], message: str
) -> None:
    build(kind, {})
    with pytest.raises(ValueError, match=message) as error:
        build(kind, top, **parts)
    assert "\n" not in str(error.value)


def test_decoder_config_of_another_family_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'llama'.*\['bart', 'gemma2'\]"):
        FlorenzConfig(text_config=LlamaConfig())


@pytest.mark.parametrize(("image_size", "tokens"), [(32, 2), (224, 50), (768, 577), (1600, 2501)])
def test_image_size_gives_its_number_of_tokens(image_size: int, tokens: int) -> None:
    assert config_from_size("0.4b").num_image_tokens(image_size) == tokens


@pytest.mark.parametrize("image_size", [100, 1632, 0, -32])
def test_image_size_that_does_not_fit_is_refused(image_size: int) -> None:
    with pytest.raises(ValueError, match=rf"{image_size} px do not fit.*multiple of 32 px up to 1600 px"):
        config_from_size("0.4b").num_image_tokens(image_size)


@pytest.mark.parametrize("kind", KINDS)
def test_no_plan_for_several_devices_covers_half_of_a_model(kind):
    model = tiny_model(kind)
    assert not model.tp_plan and not model.pp_plan and not model.supports_tp_plan
    assert not FlorenzConfig.from_dict(model.config.to_dict()).text_config.base_model_tp_plan
