"""Count the multiply-accumulates of a forward pass, part by part, and the compute of a training."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..configuration_florenz import FlorenzConfig
from ..modeling_florenz import FlorenzForConditionalGeneration


@dataclass(frozen=True)
class Macs:
    """Hold the multiply-accumulates of the forward pass of one example, by part."""

    tower: int
    projector: int
    encoder: int
    decoder: int
    head: int

    @property
    def total(self) -> int:
        """Return the sum of all parts."""
        return sum(vars(self).values())


def forward_macs(config: FlorenzConfig, image_size: int, prompt_tokens: int, target_tokens: int) -> Macs:
    """Count the forward pass of one example, without weights and without running it.

    Products of matrices and convolutions count; element by element work, norms and look-ups do not. Attention is
    counted as products of matrices, since a fused one would hide them from the counter. A decoder of Gemma-2's kind
    is counted from models of one and two layers, in which it is linear.

    Args:
        config: of the model.
        image_size: side of the square image in px.
        prompt_tokens: length of the prompt.
        target_tokens: length of the target.

    Example:

    ```python
    >>> from modeling_florenz.sizes import config_from_size
    >>> macs = forward_macs(config_from_size("0.4b"), 224, 128, 128)
    >>> round(macs.head / 1e9, 2)
    25.27
    ```
    """
    layers = config.text_config.num_hidden_layers
    if config.text_config.model_type != "gemma2" or layers < 3:
        return _count(config, image_size, prompt_tokens, target_tokens)
    first, second = (_count(_with_layers(config, count), image_size, prompt_tokens, target_tokens) for count in (1, 2))
    decoder = first.decoder + (layers - 1) * (second.decoder - first.decoder)
    return Macs(first.tower, first.projector, first.encoder, decoder, first.head)


def sample_macs(
    model: FlorenzForConditionalGeneration, prompt_tokens: int, target_tokens: int, image_size: int
) -> dict[str, int]:
    """Count what the row of a run holds: `forward`, and `trained`, the share of it that trained parts have.

    A part with any trained parameter counts as trained: gradients pass all of it.

    Args:
        model: whose `requires_grad` says what is trained.
        prompt_tokens: length of the prompt.
        target_tokens: length of the target.
        image_size: side of the square image in px.
    """
    macs = forward_macs(model.config, image_size, prompt_tokens, target_tokens)
    parts = {
        "tower": model.model.vision_tower,
        "projector": model.model.multi_modal_projector,
        "encoder": model.model.encoder,
        "decoder": model.model.decoder,
        "head": model.lm_head,
    }
    trained = [name for name, part in parts.items() if any(value.requires_grad for value in part.parameters())]
    return {"forward": macs.total, "trained": sum(getattr(macs, name) for name in trained)}


def training_compute(forward: int, trained: int, samples: int, trained_share: float) -> dict[str, float]:
    """Return the multiply-accumulates of a training.

    Args:
        forward: of one example.
        trained: those of its trained parts, see `sample_macs`.
        samples: number of examples seen.
        trained_share: trained parameters over all.

    Returns:
        - `published`: samples · forward · (1 + trained share), the paper's formula. The research code reports too
          little of it for decoders of BART's kind, as it counts their layers as frozen: a factor of 1.6532 for the
          1.7873 of 0.4b
        - `backward_twice`: samples · (forward + 2 · forward of what is trained), for a tower that is frozen

    Example:

    ```python
    >>> training_compute(forward=25, trained=15, samples=2, trained_share=0.6)
    {'published': 80.0, 'backward_twice': 110.0}
    ```
    """
    return {
        "published": samples * forward * (1 + trained_share),
        "backward_twice": float(samples * (forward + 2 * trained)),
    }


def _with_layers(config: FlorenzConfig, count: int) -> FlorenzConfig:
    values = copy.deepcopy(config.to_dict())
    values["text_config"] |= {"num_hidden_layers": count, "layer_types": config.text_config.layer_types[:count]}
    return FlorenzConfig.from_dict(values)


def _count(config: FlorenzConfig, image_size: int, prompt_tokens: int, target_tokens: int) -> Macs:
    counts: dict[str, int] = {}

    def run(part: str, module: nn.Module, *args: torch.Tensor, **kwargs: Any) -> Any:
        with FlopCounterMode(display=False) as counter:
            output = module(*args, **kwargs)
        counts[part] = counter.get_total_flops() // 2  # a multiply-accumulate is two floating-point operations
        return output

    # Parts run one by one: masks of padding, which only the whole model makes, need values.
    with torch.device("meta"), torch.no_grad():
        model = FlorenzForConditionalGeneration._from_config(copy.deepcopy(config), attn_implementation="eager").eval()
        parts = model.model
        seen = run("tower", parts.vision_tower, torch.zeros(1, 3, image_size, image_size)).last_hidden_state
        image = run("projector", parts.multi_modal_projector, seen)
        joined = torch.zeros(1, image.shape[1] + prompt_tokens, image.shape[2])
        encoded = run("encoder", parts.encoder, inputs_embeds=joined).last_hidden_state
        target = torch.zeros(1, target_tokens, dtype=torch.long)
        mask = torch.zeros(1, 1, target_tokens, target_tokens)
        decoded = run(
            "decoder", parts.decoder, target, attention_mask=mask, encoder_hidden_states=encoded, use_cache=False
        )
        run("head", model.lm_head, decoded.last_hidden_state)
    return Macs(**counts)
