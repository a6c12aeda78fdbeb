"""The four published sizes of Florenz (arXiv 2503.09443, table of models), by the name each is published under."""

import copy
from typing import Any

from .configuration_florenz import FlorenzConfig


_BASE_VISION = {
    "embed_dim": [128, 256, 512, 1024],
    "num_heads": [4, 8, 16, 32],
    "num_groups": [4, 8, 16, 32],
}
_LARGE_VISION = {
    "embed_dim": [256, 512, 1024, 2048],
    "num_heads": [8, 16, 32, 64],
    "num_groups": [8, 16, 32, 64],
}


def _bart(width: int, layers: int, heads: int, vocab_size: int, max_position_embeddings: int) -> dict[str, Any]:
    return {
        "model_type": "bart",
        "d_model": width,
        "encoder_layers": layers,
        "decoder_layers": layers,
        "encoder_attention_heads": heads,
        "decoder_attention_heads": heads,
        "encoder_ffn_dim": 4 * width,
        "decoder_ffn_dim": 4 * width,
        "vocab_size": vocab_size,
        "max_position_embeddings": max_position_embeddings,
        "attention_dropout": 0.1,
        "activation_dropout": 0.1,
    }


def _gemma2(width: int, layers: int, heads: int, intermediate_size: int) -> dict[str, Any]:
    return {
        "model_type": "gemma2",
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads // 2,
        "intermediate_size": intermediate_size,
    }


# The BART decoders keep 1,024 rows beyond Gemma's 256,000 that no tokenizer produces, and their encoder tables are
# padded to a multiple of 128: both as in the released checkpoints.
SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "0.4b": {
        "vision_config": _BASE_VISION,
        "encoder_config": _bart(768, 6, 12, 51328, 1024),
        "text_config": _bart(768, 6, 12, 257024, 1024),
    },
    "1.0b": {
        "vision_config": _LARGE_VISION,
        "encoder_config": _bart(1024, 12, 16, 51328, 4096),
        "text_config": _bart(1024, 12, 16, 257024, 4096),
    },
    "3.5b": {
        "vision_config": _LARGE_VISION,
        "encoder_config": _bart(1024, 12, 16, 51289, 4096),
        "text_config": _gemma2(2304, 26, 8, 9216),
    },
    "11.2b": {
        "vision_config": _LARGE_VISION,
        "encoder_config": _bart(1024, 12, 16, 51289, 4096),
        "text_config": _gemma2(3584, 42, 16, 14336),
    },
}


def config_from_size(size: str, **kwargs: Any) -> FlorenzConfig:
    """Build the configuration of a published size.

    Args:
        size: one of `"0.4b"`, `"1.0b"`, `"3.5b"`, `"11.2b"`.
        kwargs: fields of `FlorenzConfig` to set in addition to those of the size.

    Raises:
        ValueError: there is no such size.

    Example:

    ```python
    >>> config_from_size("0.4b").text_config.d_model
    768
    ```
    """
    if size not in SIZES:
        raise ValueError(f"there is no size {size!r}: use one of {list(SIZES)}")
    parts: dict[str, Any] = copy.deepcopy(SIZES[size])
    return FlorenzConfig(**parts, **kwargs)
