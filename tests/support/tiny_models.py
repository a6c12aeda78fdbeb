"""Build tiny random models and inputs that reach every branch: padded windows, a sliding window, ragged prompts."""

from typing import Any

import torch

from modeling_florenz import FlorenzConfig, FlorenzForConditionalGeneration


KINDS = ("bart", "gemma2")
IMAGE_SIZE = 64  # px; the last map is 2 x 2, which the window of 4 does not divide
IMAGE_TOKENS = 5

_VISION = {
    "depths": [1, 1, 2, 1],
    "embed_dim": [16, 32, 64, 128],
    "num_heads": [2, 2, 4, 4],
    "num_groups": [2, 2, 4, 4],
    "window_size": 4,
}
_BART = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 128,
    "attention_dropout": 0.1,
    "activation_dropout": 0.1,
}
_ENCODER = {**_BART, "vocab_size": 99, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
_TEXT = {
    "bart": {"model_type": "bart", **_BART, "vocab_size": 120},
    "gemma2": {
        "model_type": "gemma2",
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "query_pre_attn_scalar": 16,
        "sliding_window": 8,
        "vocab_size": 120,
    },
}


def tiny_config(kind: str, **text_overrides: Any) -> FlorenzConfig:
    """Configure a tiny model of one decoder kind; `cross_attention_every_n_layers` goes to the top level."""
    top = {name: text_overrides.pop(name) for name in ("cross_attention_every_n_layers",) if name in text_overrides}
    return FlorenzConfig(
        vision_config=dict(_VISION),
        encoder_config=dict(_ENCODER),
        text_config={**_TEXT[kind], **text_overrides},
        **top,
    )


@torch.no_grad()
def randomise(model: torch.nn.Module, seed: int = 0) -> None:
    """Draw every parameter so large that soft caps, gates, norms and inputs all show in the logits and in the text."""
    generator = torch.Generator().manual_seed(seed + 3)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if "embed" in name and parameter.ndim > 1:
            parameter.copy_(noise * (0.75 if "embed_positions" in name else 0.25))
        elif parameter.ndim > 1:
            # Larger weights in front would only amplify rounding: the tower's residual stream has no norm.
            scale = 1.0 if "vision_tower" in name else 2.0 if "decoder" in name else 1.5
            parameter.copy_(noise * scale * parameter[0].numel() ** -0.5)
        elif "gate" in name:
            parameter.copy_(0.7 + 0.2 * noise)
        else:
            # Around a norm's start: 1 for LayerNorm, 0 for Gemma's, whose branches get weight against the embedding.
            parameter.add_(0.2 * noise + (2.0 if "post_" in name else 0.0))


def tiny_model(kind: str, seed: int = 0, **text_overrides: Any) -> FlorenzForConditionalGeneration:
    """Build a tiny model with random weights, in eval mode."""
    model = FlorenzForConditionalGeneration(tiny_config(kind, **text_overrides))
    randomise(model, seed)
    return model.eval()


def tiny_inputs(seed: int = 0) -> dict[str, torch.Tensor]:
    """Make three images with prompts of 9, 6 and 4 tokens, padded on the right with 1."""
    generator = torch.Generator().manual_seed(seed)
    pixel_values = torch.randn(3, 3, IMAGE_SIZE, IMAGE_SIZE, generator=generator)
    input_ids = torch.randint(3, 99, (3, 9), generator=generator)
    attention_mask = torch.ones(3, 9, dtype=torch.long)
    for row, length in enumerate((9, 6, 4)):
        input_ids[row, 0], input_ids[row, length - 1] = 0, 2
        input_ids[row, length:], attention_mask[row, length:] = 1, 0
    return {"pixel_values": pixel_values, "input_ids": input_ids, "attention_mask": attention_mask}


def tiny_labels(seed: int = 0) -> torch.Tensor:
    """Make three targets of 14, 10 and 7 tokens from bos to eos, filled up with -100."""
    labels = torch.randint(3, 120, (3, 14), generator=torch.Generator().manual_seed(seed + 1))
    for row, length in enumerate((14, 10, 7)):
        labels[row, 0], labels[row, length - 1], labels[row, length:] = 2, 1, -100
    return labels
