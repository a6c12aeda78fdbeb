"""Configuration of Florenz (arXiv 2503.09443): a Florence-2 vision tower and encoder before a BART or Gemma-2 decoder.

Three sub-configurations: `vision_config` (DaViT), `encoder_config` (BART encoder over image and prompt) and
`text_config` (the decoder; transformers looks for the generating half under this name). Whatever one part must know
of another is derived in `__post_init__` and nowhere else.
"""

import math
import reprlib
from typing import Any, ClassVar

import transformers


if tuple(map(int, transformers.__version__.split(".")[:2])) < (5, 24):
    raise ImportError(
        f"Florenz needs transformers 5.24 or newer, but {transformers.__version__} is installed: "
        'pip install --upgrade "transformers>=5.24,<6"'
    )

from huggingface_hub.dataclasses import strict
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, BartConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec
from transformers.models.florence2.configuration_florence2 import Florence2VisionConfig


DECODER_KINDS = ("bart", "gemma2")

# Where each class is found in a model folder with its code files. `AutoModel` gives the generating model,
# because that is what people who load a captioner by `AutoModel` want to call.
AUTO_MAP = {
    "AutoConfig": "configuration_florenz.FlorenzConfig",
    "AutoModel": "modeling_florenz.FlorenzForConditionalGeneration",
    "AutoModelForImageTextToText": "modeling_florenz.FlorenzForConditionalGeneration",
    "AutoModelForSeq2SeqLM": "modeling_florenz.FlorenzForConditionalGeneration",
    "AutoProcessor": "processing_florenz.FlorenzProcessor",
}

# Far beyond any model, and small enough that a typing error ends in a sentence and not in an exhausted machine.
MAX_COUNT, MAX_LAYERS = 2**24, 128
# Asked before anything is built, with the least: transformers writes lists as long as these, or divides by one.
_LENGTHS = {
    "num_hidden_layers": 0,
    "encoder_layers": 0,
    "decoder_layers": 0,
    "num_labels": 0,
    "num_attention_heads": 1,
}
_COUNTS = {
    "vision": (
        "in_channels depths embed_dim num_heads num_groups patch_size patch_stride window_size "
        "max_temporal_embeddings max_position_embeddings"
    ),
    "encoder": "vocab_size d_model encoder_layers encoder_ffn_dim encoder_attention_heads max_position_embeddings",
    "bart": "vocab_size d_model decoder_layers decoder_ffn_dim decoder_attention_heads max_position_embeddings",
    "gemma2": (
        "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads head_dim "
        "query_pre_attn_scalar max_position_embeddings sliding_window"
    ),
}
_RATES = ("dropout", "attention_dropout", "activation_dropout", "drop_path_rate")


def _check_count(part: str, name: str, value: Any, least: int = 1) -> None:
    most = MAX_LAYERS if "layers" in name or name in ("depths", "num_labels") else MAX_COUNT
    counts = list(value) if isinstance(value, list | tuple) else [value]
    if name == "sliding_window" and value is None:
        return
    if not counts or any(type(count) is not int or not least <= count <= most for count in counts):
        raise ValueError(f"{part}.{name} is {reprlib.repr(value)}: use whole numbers from {least} to {most:,}")
    if name == "depths" and sum(counts) > most:
        raise ValueError(f"{part}.{name} has {sum(counts)} blocks: use at most {most:,}")


def _is_positive(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < math.inf


@strict
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

    >>> config = FlorenzConfig(encoder_config={"d_model": 1024}, text_config={"model_type": "gemma2"})
    >>> config.text_config.cross_attention_hidden_size
    1024
    ```
    """

    model_type = "florenz"
    keys_to_ignore_at_inference = ["cache"]
    sub_configs_defaults: ClassVar[dict[str, Any]] = {
        "vision_config": Florence2VisionConfig,
        "encoder_config": BartConfig,
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="gemma2"),
    }

    # A dict or None as given, a configuration once it is there; checked below, as no annotation says both.
    vision_config: Any = None
    encoder_config: Any = None
    text_config: Any = None
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
        try:
            return super().from_dict(config_dict, **kwargs)
        except StrictDataclassError as error:
            reason = " ".join(str(error.__cause__ or error).split())
            raise ValueError(reason.partition(". Errors:")[0]) from error

    def __post_init__(self, **kwargs: Any) -> None:
        for part in ("", *self.sub_configs_defaults):
            values = getattr(self, part) if part else kwargs
            if not isinstance(values, dict | PreTrainedConfig | None):
                raise ValueError(f"{part} is {reprlib.repr(values)}: it must be a configuration or a dict")
            given = values if isinstance(values, dict) else {}
            for name, least in _LENGTHS.items():
                if isinstance(given.get(name), int):
                    _check_count(part or "config", name, given[name], least)
        if isinstance(self.text_config, dict) and self.text_config.get("model_type", "gemma2") not in DECODER_KINDS:
            kind = self.text_config["model_type"]
            raise ValueError(f"text_config.model_type is {kind!r}: the decoder must be one of {list(DECODER_KINDS)}")
        super().__post_init__(**kwargs)
        self._derive()
        self._check_parts()
        self._check_numbers()
        self.auto_map = dict(AUTO_MAP)

    def _derive(self) -> None:
        vision, encoder, decoder = self.vision_config, self.encoder_config, self.text_config
        vision.projection_dim = encoder.d_model
        encoder.is_decoder, encoder.is_encoder_decoder = False, False
        decoder.cross_attention_hidden_size = encoder.d_model
        decoder.cross_attention_every_n_layers = self.cross_attention_every_n_layers
        decoder.is_decoder = True
        # Gemma-2's plans for several devices know nothing of cross-attention.
        decoder.base_model_tp_plan = decoder.base_model_pp_plan = None
        for name in ("pad_token_id", "eos_token_id", "bos_token_id"):
            setattr(decoder, name, getattr(self, name))
        if decoder.model_type == "bart":
            decoder.is_encoder_decoder = False
            decoder.decoder_start_token_id = self.decoder_start_token_id
            # BART forces token 2 at the end, which is Gemma's <bos>.
            decoder.forced_eos_token_id = None
            # Its encoder half is not built, but a cache makes as many layers as that has.
            decoder.encoder_layers = decoder.decoder_layers
            decoder.encoder_attention_heads = decoder.decoder_attention_heads
            if not hasattr(decoder, "final_logit_softcapping"):
                decoder.final_logit_softcapping = 30.0

    def _check_parts(self) -> None:
        vision, encoder, decoder = self.vision_config, self.encoder_config, self.text_config
        every = self.cross_attention_every_n_layers
        if not self.is_encoder_decoder:
            raise ValueError("is_encoder_decoder is False: a Florenz has an encoder and a decoder")
        if decoder.model_type not in DECODER_KINDS:
            raise ValueError(
                f"text_config is a {decoder.model_type!r} config: the decoder must be one of {list(DECODER_KINDS)}"
            )
        if not isinstance(every, int) or every < 1:
            raise ValueError(f"cross_attention_every_n_layers is {every!r}: it must be a whole number of at least 1")
        for name in ("embed_dim", "num_heads", "num_groups", "patch_size", "patch_stride", "patch_padding"):
            if len(getattr(vision, name)) != len(vision.depths):
                raise ValueError(
                    f"vision_config.{name} is {reprlib.repr(getattr(vision, name))}: "
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

    def _check_numbers(self) -> None:
        vision, decoder = self.vision_config, self.text_config
        kinds = {"vision_config": "vision", "encoder_config": "encoder", "text_config": decoder.model_type}
        for part, kind in kinds.items():
            for name in _COUNTS[kind].split():
                _check_count(part, name, getattr(getattr(self, part), name))
            for name in _RATES:
                rate = getattr(getattr(self, part), name, None)
                if rate is not None and not 0 <= rate <= 1:
                    raise ValueError(f"{part}.{name} is {rate}: it must be from 0 to 1")
        for padding, size in zip(vision.patch_padding, vision.patch_size, strict=True):
            if not 0 <= padding <= size:
                raise ValueError(f"vision_config.patch_padding has {padding}: use 0 to the stage's patch_size {size}")
        side = self.max_image_size // vision.patch_stride[0]
        if vision.window_size > max(side, 1):
            raise ValueError(
                f"vision_config.window_size is {vision.window_size}: the first map of the largest image has {side}"
            )
        for name in ("final_logit_softcapping", "attn_logit_softcapping", "rms_norm_eps"):
            value = getattr(decoder, name, None)
            if value is not None and not _is_positive(value):
                rule = "a positive number, or None for no cap" if "cap" in name else "a positive number"
                raise ValueError(f"text_config.{name} is {value!r}: it must be {rule}")
        for name, value in (getattr(decoder, "rope_parameters", None) or {}).items():
            if isinstance(value, int | float) and not (_is_positive(value) and value < 1e12):
                raise ValueError(f"text_config.rope_parameters.{name} is {value!r}: it must be a positive number")
        for name in ("pad_token_id", "eos_token_id", "bos_token_id", "decoder_start_token_id"):
            token = getattr(self, name)
            if not isinstance(token, int) or not 0 <= token < decoder.vocab_size:
                raise ValueError(f"{name} is {token!r}: it must be one of the decoder's {decoder.vocab_size} ids")

    @property
    def image_stride(self) -> int:
        """Return the pixels per image token along one side (32 for every published size)."""
        return math.prod(self.vision_config.patch_stride)

    @property
    def max_image_size(self) -> int:
        """Return the largest side in pixels that the position table reaches (1600 for every published size)."""
        return self.image_stride * self.vision_config.max_position_embeddings

    def num_image_tokens(self, image_size: int) -> int:
        """Count the tokens of one square image of `image_size` px: one global token and the grid (577 at 768 px).

        Raises:
            ValueError: the size is not a multiple of the stride or beyond the position table.
        """
        if image_size < 1 or image_size % self.image_stride or image_size > self.max_image_size:
            raise ValueError(
                f"images of {image_size} px do not fit this model: "
                f"use a square multiple of {self.image_stride} px up to {self.max_image_size} px"
            )
        return 1 + (image_size // self.image_stride) ** 2


FlorenzConfig.register_for_auto_class()

__all__ = ["FlorenzConfig"]
