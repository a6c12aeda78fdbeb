"""Configuration of Florenz (arXiv 2503.09443): a Florence-2 vision tower and encoder before a BART or Gemma-2 decoder.

Three sub-configurations: `vision_config` (DaViT), `encoder_config` (BART encoder over image and prompt) and
`text_config` (the decoder; transformers looks for the generating half under this name). Whatever one part must know
of another is derived in `__post_init__` and nowhere else.
"""

import math
from typing import Any

from transformers import AutoConfig, BartConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec
from transformers.models.florence2.configuration_florence2 import Florence2VisionConfig


DECODER_KINDS = ("bart", "gemma2")

# Where each class is found once the code files lie flat in a model folder. `AutoModel` gives the generating model,
# because that is what people who load a captioner by `AutoModel` want to call.
AUTO_MAP = {
    "AutoConfig": "configuration_florenz.FlorenzConfig",
    "AutoModel": "modeling_florenz.FlorenzForConditionalGeneration",
    "AutoModelForImageTextToText": "modeling_florenz.FlorenzForConditionalGeneration",
    "AutoModelForSeq2SeqLM": "modeling_florenz.FlorenzForConditionalGeneration",
    "AutoProcessor": "processing_florenz.FlorenzProcessor",
}

_BASE_VISION = {"embed_dim": [128, 256, 512, 1024], "num_heads": [4, 8, 16, 32], "num_groups": [4, 8, 16, 32]}
_LARGE_VISION = {"embed_dim": [256, 512, 1024, 2048], "num_heads": [8, 16, 32, 64], "num_groups": [8, 16, 32, 64]}


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


# The four published sizes. The BART decoders keep 1,024 rows past Gemma's 256,000 that no tokenizer produces, and the
# two encoder tables differ by the padding to a multiple of 128: both as in the released checkpoints.
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


class FlorenzConfig(PreTrainedConfig):
    """Hold the three sub-configurations of a Florenz model and what joins them.

    Args:
        vision_config (`Florence2VisionConfig` or `dict`): the DaViT tower. Its `projection_dim` is set here.
        encoder_config (`BartConfig` or `dict`): the encoder over image tokens and prompt; prompt vocabulary and ids.
        text_config (`BartConfig`, `Gemma2Config` or `dict`): the decoder. A `dict` needs `model_type` `"bart"` or
            `"gemma2"`. `final_logit_softcapping` (both kinds) and `attn_logit_softcapping` (Gemma-2) live here.
        cross_attention_every_n_layers (`int`, *optional*, defaults to 1): a Gemma-2 decoder has a cross-attention
            block in layers 0, n, 2n, ... Every published model has one in each layer.
        decoder_start_token_id, pad_token_id, eos_token_id, bos_token_id (`int`): ids of the decoder's vocabulary.

    Raises:
        ValueError: a value breaks a rule; the message names both.

    Example:

    ```python
    >>> from modeling_florenz import FlorenzConfig

    >>> config = FlorenzConfig.from_size("3.5b")
    >>> config.text_config.model_type, config.text_config.cross_attention_hidden_size
    ('gemma2', 1024)
    ```
    """

    model_type = "florenz"
    keys_to_ignore_at_inference = ["past_key_values", "cache"]
    sub_configs_defaults = {
        "vision_config": Florence2VisionConfig,
        "encoder_config": BartConfig,
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="gemma2"),
    }

    vision_config: dict | PreTrainedConfig | None = None
    encoder_config: dict | PreTrainedConfig | None = None
    text_config: dict | PreTrainedConfig | None = None
    cross_attention_every_n_layers: int = 1
    pad_token_id: int = 0
    eos_token_id: int = 1
    bos_token_id: int = 2
    decoder_start_token_id: int = 1
    is_encoder_decoder: bool = True
    tie_word_embeddings: bool = True

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> "FlorenzConfig":
        """Read a configuration from its `dict`.

        Raises:
            ValueError: it is the configuration of another kind of model.
        """
        kind = config_dict.get("model_type", cls.model_type)
        if kind != cls.model_type:
            # The research code called its models florence2 too.
            raise ValueError(
                f"this is a checkpoint of model_type {kind!r}, not a Florenz: one of the research code becomes "
                "one with `florenz convert SRC OUT`"
            )
        return super().from_dict(config_dict, **kwargs)

    def __post_init__(self, **kwargs: Any) -> None:
        if isinstance(self.text_config, dict) and self.text_config.get("model_type", "gemma2") not in DECODER_KINDS:
            kind = self.text_config["model_type"]
            raise ValueError(f"text_config.model_type is {kind!r}: the decoder must be one of {list(DECODER_KINDS)}")
        super().__post_init__(**kwargs)
        self._derive()
        self._check()
        self.auto_map = dict(AUTO_MAP)

    def _derive(self) -> None:
        vision, encoder, decoder = self.vision_config, self.encoder_config, self.text_config
        vision.projection_dim = encoder.d_model
        encoder.is_decoder, encoder.is_encoder_decoder = False, False
        decoder.cross_attention_hidden_size = encoder.d_model
        decoder.cross_attention_every_n_layers = self.cross_attention_every_n_layers
        decoder.is_decoder = True
        for name in ("pad_token_id", "eos_token_id", "bos_token_id"):
            setattr(decoder, name, getattr(self, name))
        if decoder.model_type == "bart":
            decoder.is_encoder_decoder = False
            decoder.decoder_start_token_id = self.decoder_start_token_id
            # BART forces token 2 at the end, which is Gemma's <bos>.
            decoder.forced_eos_token_id = None
            if not hasattr(decoder, "final_logit_softcapping"):
                decoder.final_logit_softcapping = 30.0

    def _check(self) -> None:
        vision, encoder, decoder = self.vision_config, self.encoder_config, self.text_config
        every = self.cross_attention_every_n_layers
        if decoder.model_type not in DECODER_KINDS:
            raise ValueError(
                f"text_config is a {decoder.model_type!r} config: the decoder must be one of {list(DECODER_KINDS)}"
            )
        if not isinstance(every, int) or every < 1:
            raise ValueError(f"cross_attention_every_n_layers is {every!r}: it must be a whole number of at least 1")
        for name in ("embed_dim", "num_heads", "num_groups", "patch_size", "patch_stride", "patch_padding"):
            if len(getattr(vision, name)) != len(vision.depths):
                raise ValueError(
                    f"vision_config.{name} is {getattr(vision, name)!r}: "
                    f"it must have one entry for each of the {len(vision.depths)} stages in depths"
                )
        for name in ("num_heads", "num_groups"):
            for width, parts in zip(vision.embed_dim, getattr(vision, name), strict=True):
                if parts < 1 or width % parts:
                    raise ValueError(f"vision_config.{name} has {parts}: it must divide its stage's width {width}")
        if encoder.encoder_attention_heads < 1 or encoder.d_model % encoder.encoder_attention_heads:
            raise ValueError(
                f"encoder_config.d_model is {encoder.d_model}: it must be a multiple of the "
                f"{encoder.encoder_attention_heads} encoder_attention_heads"
            )
        if decoder.model_type == "bart":
            if decoder.d_model != encoder.d_model:
                raise ValueError(
                    f"text_config.d_model is {decoder.d_model}: a BART decoder needs the encoder's {encoder.d_model}"
                )
            if every != 1:
                raise ValueError(
                    f"cross_attention_every_n_layers is {every}: a BART decoder has cross-attention in every layer"
                )
        elif decoder.num_key_value_heads < 1 or decoder.num_attention_heads % decoder.num_key_value_heads:
            raise ValueError(
                f"text_config.num_key_value_heads is {decoder.num_key_value_heads}: "
                f"it must divide the {decoder.num_attention_heads} num_attention_heads"
            )
        for name in ("final_logit_softcapping", "attn_logit_softcapping"):
            cap = getattr(decoder, name, None)
            if cap is not None and (
                isinstance(cap, bool) or not isinstance(cap, int | float) or not 0 < cap < math.inf
            ):
                raise ValueError(f"text_config.{name} is {cap!r}: it must be a positive number, or None for no cap")
        for name in ("pad_token_id", "eos_token_id", "bos_token_id", "decoder_start_token_id"):
            token = getattr(self, name)
            if not isinstance(token, int) or not 0 <= token < decoder.vocab_size:
                raise ValueError(f"{name} is {token!r}: it must lie in the decoder's {decoder.vocab_size} ids")

    @property
    def image_stride(self) -> int:
        """Give the pixels per image token along one side (32 for every published size)."""
        return math.prod(self.vision_config.patch_stride)

    @property
    def max_image_size(self) -> int:
        """Give the largest side in pixels that the position table reaches (1600 for every published size)."""
        return self.image_stride * self.vision_config.max_position_embeddings

    def num_image_tokens(self, image_size: int) -> int:
        """Count the tokens of one square image of `image_size` px: one global token and the grid (577 at 768 px).

        Raises:
            ValueError: the size is no multiple of the stride or beyond the position table.
        """
        if image_size < 1 or image_size % self.image_stride or image_size > self.max_image_size:
            raise ValueError(
                f"images of {image_size} px do not fit this model: "
                f"use a square multiple of {self.image_stride} px up to {self.max_image_size} px"
            )
        return 1 + (image_size // self.image_stride) ** 2

    @classmethod
    def from_size(cls, size: str, **kwargs: Any) -> "FlorenzConfig":
        """Build the configuration of a published size (paper, model table).

        Args:
            size (`str`): one of `"0.4b"`, `"1.0b"`, `"3.5b"`, `"11.2b"`.
            kwargs: fields of this class to set beside the size's own.

        Raises:
            ValueError: there is no such size.

        Example:

        ```python
        >>> FlorenzConfig.from_size("0.4b").text_config.d_model
        768
        ```
        """
        if size not in SIZES:
            raise ValueError(f"there is no size {size!r}: use one of {list(SIZES)}")
        return cls(**{part: dict(values) for part, values in SIZES[size].items()}, **kwargs)


FlorenzConfig.register_for_auto_class()

__all__ = ["FlorenzConfig"]
