"""Hold the large matrices of a decoder in the order in which a CPU multiplies them in bfloat16."""

from typing import Any

import torch
from torch import nn

from ..modeling_florenz import FlorenzForConditionalGeneration, FlorenzLinear


class PackedLinear(nn.Module):
    """Do what a linear layer does, with the same result, from a matrix that oneDNN has put in its own order.

    Read in that order, few rows are multiplied up to twice as fast, and many as fast as before. `weight` and
    `state_dict` give the matrix as it was, as a copy. There are no gradients.

    Args:
        linear: in bfloat16, whose matrix is copied.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features, self.bias = linear.in_features, linear.out_features, linear.bias
        packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())
        self.register_buffer("packed", packed, persistent=False)

    @property
    def weight(self) -> torch.Tensor:
        """Unpack the matrix."""
        packed: Any = self.packed
        weight: torch.Tensor = packed.to_dense()
        return weight

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Return `hidden_states @ weight.T + bias`."""
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            hidden_states, self.packed, self.bias, "none", [], ""
        )
        return product

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        destination[f"{prefix}weight"] = self.weight
        super()._save_to_state_dict(destination, prefix, keep_vars)


def can_pack(model: nn.Module) -> bool:
    """Return whether packing makes a model faster: in bfloat16, on a CPU that multiplies it."""
    return (
        isinstance(model, FlorenzForConditionalGeneration)
        and model.device.type == "cpu"
        and model.dtype == torch.bfloat16
        and torch.cpu._is_avx512_bf16_supported()
        and torch.backends.mkldnn.is_available()
    )


def pack_matrices(model: FlorenzForConditionalGeneration) -> None:
    """Pack the large matrices of a model's decoder and head, in place, one after another.

    The table of words is held twice, as the head is packed and words are looked up in it.

    Args:
        model: for which `can_pack` is true; it can be run and saved, and no longer be trained or moved.

    Example:

    ```python
    >>> pack_matrices(captioner.model)  # doctest: +SKIP
    ```
    """
    # Not the matrices themselves, each of which is given up when it is packed.
    for part in [model, *(part for part in model.model.decoder.modules() if not isinstance(part, nn.Linear))]:
        for name, linear in list(part.named_children()):
            if type(linear) is FlorenzLinear and type(linear.weight) is nn.Parameter:  # not quantised
                setattr(part, name, PackedLinear(linear))
