"""Put LoRA onto parts of a Florenz; gates and the norms after cross-attention are trained and saved beside it."""

from collections.abc import Iterable

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model

from ..modeling_florenz import FlorenzForConditionalGeneration


_ENCODER = r"model\.encoder\.layers\.\d+\.(self_attn\.(q|k|v|out)_proj|fc1|fc2)"
_DECODER = r"model\.decoder\.layers\.\d+\.(\w+_attn\.(q|k|v|o|out)_proj|fc1|fc2|mlp\.(gate|up|down)_proj)"
# What reads the encoder is `encoder_attn` in BART and `cross_attn` in Gemma-2.
_CROSS = r"model\.decoder\.layers\.\d+\.(encoder_attn|cross_attn)\.(q|k|v|o|out)_proj"
_PROJECTION = r"model\.multi_modal_projector\.image_projection"
LORA_PARTS = {
    "cross_attention": _CROSS,
    "decoder": _DECODER,
    "encoder+decoder": f"{_ENCODER}|{_DECODER}",
    "all-linear": f"{_ENCODER}|{_DECODER}|{_PROJECTION}",
}
_SAVED_BESIDE = ["cross_attn_gate", "post_cross_attn_layernorm"]


def lora_config(
    model: FlorenzForConditionalGeneration,
    parts: str,
    rank: int = 16,
    alpha: int = 32,
    dropout: float = 0.0,
    use_dora: bool = False,
    use_rslora: bool = False,
    embedding_rows: Iterable[int] = (),
) -> LoraConfig:
    """Configure LoRA for a Florenz of either decoder kind.

    Args:
        parts: `cross_attention`, `decoder`, `encoder+decoder` or `all-linear`; never the vision tower.
        embedding_rows: ids whose rows in the decoder's embedding, and with it the tied head, are trained too.

    Raises:
        ValueError: the preset is unknown.

    Example:

    ```python
    >>> from modeling_florenz import BUNDLED_MODEL

    >>> model = FlorenzForConditionalGeneration.from_pretrained(BUNDLED_MODEL)
    >>> sorted(lora_config(model, "cross_attention", rank=4).modules_to_save)
    ['cross_attn_gate', 'post_cross_attn_layernorm']
    ```
    """
    if parts not in LORA_PARTS:
        raise ValueError(f"lora_parts must be one of {', '.join(LORA_PARTS)}, not {parts!r}")
    rows = sorted(set(embedding_rows))
    is_gemma = model.config.text_config.model_type == "gemma2"
    return LoraConfig(
        task_type=TaskType.SEQ_2_SEQ_LM,
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        use_dora=use_dora,
        use_rslora=use_rslora,
        target_modules=rf".*({LORA_PARTS[parts]})",
        modules_to_save=_SAVED_BESIDE if is_gemma else None,
        trainable_token_indices={"decoder.embed_tokens": rows} if rows else None,
    )


def add_adapter(model: FlorenzForConditionalGeneration, config: LoraConfig) -> PeftModel:
    """Wrap a model for LoRA training: the adapter is trained in float32, everything else is frozen."""
    wrapped = get_peft_model(model, config)
    for parameter in wrapped.parameters():
        if parameter.requires_grad and parameter.dtype in (torch.float16, torch.bfloat16):
            parameter.data = parameter.data.float()
    return wrapped
