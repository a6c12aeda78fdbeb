"""Learn to prefer the right translation to one that another image would make right (DPO)."""

from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.nn import functional as F

from ..modeling_florenz import FlorenzForConditionalGeneration
from .loaded_data import Groups


IGNORED = -100


def check_preferences(groups: Groups) -> None:
    """Check that all rows of the training data have an incorrect target.

    Raises:
        ValueError: some have none.
    """
    for name, rows in groups.items():
        found = rows.contrasts()
        if found is None or len(found) != len(rows):
            raise ValueError(
                f"preference needs an incorrect target in all rows of train_data, and {name} has rows without one: "
                "use commute, or name the column incorrect of a dataset hub"
            )


def preference_loss(
    model: nn.Module,
    adapted: PeftModel,
    inputs: dict[str, Any],
    rejected: Tensor,
    beta: float,
) -> Tensor:
    """Return the mean loss of direct preference optimisation.

    Args:
        model: `adapted`, or what distributes it.
        adapted: with its adapter disabled, it is the reference.
        inputs: a batch with `labels`, those to prefer, `(batch, length)`.
        rejected: the other labels, `(batch, length)`; both have -100 where nothing is asked for.
        beta: how far the model may leave the reference: the smaller, the farther.
    """
    modes = [(module, module.training) for module in adapted.modules()]
    adapted.eval()
    with torch.no_grad(), adapted.disable_adapter():
        reference = _margin(adapted, inputs, rejected)
    for module, mode in modes:
        module.training = mode
    return -F.logsigmoid(beta * (_margin(model, inputs, rejected) - reference)).mean()


def _margin(model: nn.Module | FlorenzForConditionalGeneration, inputs: dict[str, Any], rejected: Tensor) -> Tensor:
    """Return by how much the right target is likelier, `(batch,)`, in nats; both are in one forward pass."""
    right = inputs["labels"]
    length = max(right.shape[1], rejected.shape[1])
    labels = torch.cat([F.pad(each, (0, length - each.shape[1]), value=IGNORED) for each in (right, rejected)])
    given = {name: value for name, value in inputs.items() if name != "labels" and torch.is_tensor(value)}
    twice = {name: torch.cat([value, value]) for name, value in given.items()}
    logits = model(**twice, labels=labels).logits.float()
    found = logits.log_softmax(-1).gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    likely, other = found.masked_fill(labels == IGNORED, 0.0).sum(-1).chunk(2)
    return likely - other
