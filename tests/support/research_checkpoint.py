"""Write random checkpoints in the research code's format (spec 1.2 to 1.8), of any size, a piece at a time."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tower_names import TOWER_NAMES_OF_OLD

from modeling_florenz import FlorenzConfig
from modeling_florenz.checkpoint.conversion import expected_shapes
from modeling_florenz.checkpoint.tensor_stream import PlannedTensor, write_tensors


_TO_RESEARCH = [
    *TOWER_NAMES_OF_OLD,
    (r"^model\.(encoder|decoder)\.", r"language_model.model.\1."),
    (r"\.cross_attn_gate\.weight$", ".encoder_attn_gate"),
    (r"\.post_cross_attn_layernorm\.", ".post_encoder_attention_layernorm."),
    (r"\.cross_attn\.", ".encoder_attn."),
]
_BART = (
    "d_model dropout attention_dropout activation_dropout activation_function init_std scale_embedding "
    "max_position_embeddings encoder_layers encoder_attention_heads encoder_ffn_dim encoder_layerdrop decoder_layers "
    "decoder_attention_heads decoder_ffn_dim decoder_layerdrop"
).split()
_GEMMA = (
    "attn_logit_softcapping final_logit_softcapping head_dim hidden_activation hidden_size intermediate_size "
    "max_position_embeddings num_attention_heads num_hidden_layers num_key_value_heads query_pre_attn_scalar "
    "rms_norm_eps sliding_window vocab_size"
).split()
_TOWER = (
    "depths num_heads num_groups patch_size patch_stride patch_padding patch_prenorm window_size drop_path_rate"
).split()


def research_name(name: str) -> str:
    """Translate one of our tensor names into the research code's."""
    for pattern, replacement in _TO_RESEARCH:
        name = re.sub(pattern, replacement, name)
    return name


def research_config(config: FlorenzConfig) -> dict[str, Any]:
    """Write a configuration as the research code does."""
    vision, encoder, decoder = config.vision_config, config.encoder_config, config.text_config
    text = {key: getattr(encoder, key) for key in _BART}
    text |= {"model_type": "florence2_language", "vocab_size": decoder.vocab_size}
    text |= {"encoder_vocab_size": encoder.vocab_size, "forced_bos_token_id": 2, "forced_eos_token_id": 1}
    if decoder.model_type == "gemma2":
        text["gemma_config"] = {key: getattr(decoder, key) for key in _GEMMA} | {"rope_theta": 10000.0}
        text["gemma_config"]["encoder_attn_every_x_layers"] = config.cross_attention_every_n_layers
    tower = {key: getattr(vision, key) for key in _TOWER} | {"dim_embed": vision.embed_dim, "model_type": ""}
    tower |= {"projection_dim": encoder.d_model, "image_feature_source": ["spatial_avg_pool", "temporal_avg_pool"]}
    tower["image_pos_embed"] = {"type": "learned_abs_2d", "max_pos_embeddings": vision.max_position_embeddings}
    temporal = {"type": "COSINE", "max_temporal_embeddings": vision.max_temporal_embeddings}
    ids = {key: getattr(config, key) for key in ("pad_token_id", "bos_token_id", "eos_token_id")}
    return {
        "model_type": "florence2",
        "vision_config": {**tower, "visual_temporal_embedding": temporal},
        "text_config": text,
        "projection_dim": encoder.d_model,
        "vocab_size": decoder.vocab_size,
        "encoder_vocab_size": encoder.vocab_size,
        "decoder_start_token_id": config.decoder_start_token_id,
        **ids,
    }


def random_pieces(count: int, seed: int, scale: float = 0.02) -> Iterator[torch.Tensor]:
    """Yield `count` random float32 values in pieces of 8 million; long tensors repeat themselves, which is quick."""
    values = torch.empty(min(count, 1 << 23)).normal_(0.0, scale, generator=torch.Generator().manual_seed(seed))
    for start in range(0, count, len(values)):
        yield values[: count - start]


def write_research_checkpoint(
    folder: Path, config: FlorenzConfig, dtype: torch.dtype = torch.float32, max_shard_bytes: int = 5 * 10**9
) -> Path:
    """Write a random checkpoint of this configuration, all values random."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(research_config(config)), encoding="utf-8")

    def plan(index: int, name: str, shape: tuple[int, ...]) -> PlannedTensor:
        theirs = research_name(name)
        shape = tuple(reversed(shape)) if theirs == "image_projection" else shape
        return PlannedTensor(theirs, shape, dtype, lambda: random_pieces(math.prod(shape), index))

    planned = [plan(index, name, shape) for index, (name, shape) in enumerate(expected_shapes(config).items())]
    write_tensors(folder, planned, max_shard_bytes)
    return folder
