"""Translate the configuration of the research code strictly into ours.

Anything unknown is an error that names it: a value that is silently dropped here would make a wrong model later.
"""

from typing import Any

from huggingface_hub.errors import StrictDataclassError

from ..configuration_florenz import FlorenzConfig


# What a research config may hold without any meaning for the model: defaults of an older transformers, settings of
# generation (kept in generation_config.json), notes on origin.
_NOISE = set(
    """
    _attn_implementation_autoset _name_or_path add_cross_attention architectures auto_map bad_words_ids
    begin_suppress_tokens chunk_size_feed_forward cross_attention_hidden_size diversity_penalty do_sample
    early_stopping encoder_no_repeat_ngram_size exponential_decay_length_penalty finetuning_task forced_bos_token_id
    forced_eos_token_id id2label label2id is_decoder length_penalty max_length min_length model_type num_beam_groups
    num_beams num_return_sequences no_repeat_ngram_size output_attentions output_hidden_states output_scores prefix
    problem_type pruned_heads remove_invalid_values repetition_penalty return_dict return_dict_in_generate sep_token_id
    suppress_tokens task_specific_params temperature tf_legacy_loss tokenizer_class top_k top_p torch_dtype dtype
    torchscript transformers_version typical_p use_bfloat16 use_cache cache_implementation gradient_checkpointing
    classifier_dropout classif_dropout use_encoder_tokenizer is_encoder_decoder enable_checkpoint hidden_act
    attn_implementation _attn_implementation ignore_index num_hidden_layers num_labels _commit_hash""".split()
)
# Fields for which only one value can be converted.
_FIXED: dict[str, dict[str, Any]] = {
    "": {"tie_word_embeddings": True},
    "text_config": {
        "add_bias_logits": False,
        "add_final_layer_norm": False,
        "normalize_before": False,
        "tie_word_embeddings": True,
        "tie_encoder_decoder": False,
    },
    "text_config.gemma_config": {
        "tie_word_embeddings": True,
        "tie_encoder_decoder": False,
    },
    "vision_config": {
        "image_feature_source": ["spatial_avg_pool", "temporal_avg_pool"],
        "tie_word_embeddings": True,
        "tie_encoder_decoder": False,
        # The encoder's tokens carry these; a vision tower has none.
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
        "decoder_start_token_id": None,
    },
}
_VISION = {
    "depths": "depths",
    "dim_embed": "embed_dim",
    "num_heads": "num_heads",
    "num_groups": "num_groups",
    "patch_size": "patch_size",
    "patch_stride": "patch_stride",
    "patch_padding": "patch_padding",
    "patch_prenorm": "patch_prenorm",
    "window_size": "window_size",
    "drop_path_rate": "drop_path_rate",
}
_BART_SHARED = (
    "d_model dropout attention_dropout activation_dropout activation_function init_std scale_embedding "
    "max_position_embeddings encoder_layers encoder_attention_heads encoder_ffn_dim encoder_layerdrop decoder_layers "
    "decoder_attention_heads decoder_ffn_dim decoder_layerdrop"
).split()
_GEMMA = (
    "attention_bias attention_dropout attn_logit_softcapping final_logit_softcapping head_dim hidden_activation "
    "hidden_size initializer_range intermediate_size max_position_embeddings num_attention_heads num_hidden_layers "
    "num_key_value_heads query_pre_attn_scalar rms_norm_eps rope_theta sliding_window vocab_size"
).split()
_IDS = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")


class _Section:
    """Take values out of one level of a research config, then refuse whatever is left."""

    def __init__(self, values: Any, path: str) -> None:
        if not isinstance(values, dict):
            raise ValueError(f"config.json: {path or 'the file'} is {type(values).__name__}, not an object")
        self.values, self.path = dict(values), path

    def name(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def take(self, key: str, default: Any = ...) -> Any:
        if key not in self.values and default is ...:
            raise ValueError(f"config.json: {self.name(key)} is missing")
        return self.values.pop(key, default)

    def finish(self) -> None:
        for key, only in _FIXED[self.path].items():
            if (value := self.values.pop(key, only)) != only:
                raise ValueError(f"config.json: {self.name(key)} is {value!r}; only {only!r} can be converted")
        for key, value in self.values.items():
            if key not in _NOISE:
                raise ValueError(f"config.json: {self.name(key)} = {value!r} is unknown, so it cannot be converted")


def _agreed(name: str, *values: Any) -> Any:
    """Return the one value that several places name; those that omit it do not count."""
    given = {value for value in values if value is not None}
    if len(given) != 1:
        raise ValueError(
            f"config.json: {name} must have one value, but the places that name it say {sorted(given, key=repr)}"
        )
    return given.pop()


def translate_config(research: dict[str, Any]) -> FlorenzConfig:
    """Translate a research `config.json` field by field.

    Raises:
        ValueError: a field is missing or unknown, or its value has no counterpart; the message names it.
    """
    top = _Section(research, "")
    text, vision = (
        _Section(top.take("text_config"), "text_config"),
        _Section(top.take("vision_config"), "vision_config"),
    )

    tower = {ours: vision.take(theirs) for theirs, ours in _VISION.items()}
    for key, kind, field in (
        ("image_pos_embed", "learned_abs_2d", "max_pos_embeddings"),
        ("visual_temporal_embedding", "COSINE", "max_temporal_embeddings"),
    ):
        embedding = vision.take(key)
        if not isinstance(embedding, dict) or embedding.get("type") != kind or set(embedding) != {"type", field}:
            raise ValueError(f"config.json: vision_config.{key} is not the {kind!r} embedding that can be converted")
        tower["max_position_embeddings" if field.startswith("max_pos") else field] = embedding[field]
    shared = {key: text.take(key) for key in _BART_SHARED}
    _agreed("projection_dim", top.take("projection_dim"), vision.take("projection_dim"), shared["d_model"])
    vision.finish()

    ids = {key: top.take(key) for key in _IDS}
    encoder_ids = dict(zip(("bos_token_id", "pad_token_id", "eos_token_id"), (0, 1, 2), strict=True))
    encoder_ids = {key: text.take(f"encoder_{key}", value) for key, value in encoder_ids.items()}
    values = text.take("gemma_config", None)
    gemma = None if values is None else _Section(values, "text_config.gemma_config")
    for section in filter(None, (text, gemma)):
        for key in _IDS:
            if (value := section.take(key, None)) not in (None, ids[key]):
                raise ValueError(f"config.json: {section.name(key)} is {value!r}, but {key} is {ids[key]!r}")
    vocab_size = _agreed("vocab_size", top.take("vocab_size", None), text.take("vocab_size"))
    encoder_vocab_size = _agreed("encoder_vocab_size", top.take("encoder_vocab_size"), text.take("encoder_vocab_size"))
    text.finish()
    top.finish()

    every = 1
    encoder = {**shared, **encoder_ids, "vocab_size": encoder_vocab_size}
    if gemma is None:
        decoder = {"model_type": "bart", **shared, "vocab_size": vocab_size}
    else:
        _agreed("gemma_config.encoder_hidden_size", gemma.take("encoder_hidden_size", None), encoder["d_model"])
        decoder = {"model_type": "gemma2", **{key: gemma.take(key) for key in _GEMMA if key in gemma.values}}
        every = gemma.take("encoder_attn_every_x_layers", every)
        gemma.finish()
        _agreed("gemma_config.vocab_size", decoder.get("vocab_size"), vocab_size)
        if "rope_theta" in decoder:
            decoder["rope_parameters"] = {"rope_type": "default", "rope_theta": decoder.pop("rope_theta")}
    try:
        return FlorenzConfig(
            vision_config=tower,
            encoder_config=encoder,
            text_config=decoder,
            cross_attention_every_n_layers=every,
            **ids,
        )
    except StrictDataclassError as error:
        # Their message continues with lists of types.
        raise ValueError(f"config.json: {str(error.__cause__ or error).split('. ')[0]}") from None
