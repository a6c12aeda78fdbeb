"""Call a tiny model, and measure how far two results are apart."""

from typing import Any

import torch
from tiny_models import tiny_inputs, tiny_labels
from torch import nn

from modeling_florenz import FlorenzForConditionalGeneration


Model = FlorenzForConditionalGeneration


ROUNDING = 1e-4  # on logits around 6 and on gradients; every control below moves them by 100 times as much


def largest(difference: torch.Tensor) -> float:
    return difference.detach().abs().max().item()


@torch.no_grad()
def logits_of(model: nn.Module, **changed: Any) -> torch.Tensor:
    return model(**{**tiny_inputs(), "labels": tiny_labels(), **changed}).logits
