"""Measure what no model can be faster than on this machine: reading memory, and multiplying matrices."""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial

import torch
from torch import nn

from .benchmark import Work, without_gradients


_ROWS, _COLUMNS = 32768, 4096  # of a matrix too large for any cache
_SIDE = 2048


def limit_works(device: torch.device, dtype: torch.dtype) -> dict[str, Work]:
    """List the works whose rates are limits: GB for reads and for a matrix times a vector, TFLOP for a product.

    Args:
        device, dtype: of the model that is timed beside them.
    """
    table = torch.ones(_ROWS, _COLUMNS, device=device, dtype=dtype)
    vector, square = table[:1], torch.ones(_SIDE, _SIDE, device=device, dtype=dtype)
    gigabytes = table.numel() * table.element_size() / 1e9
    # A work's units are whole; the rate is that of one run.
    return {
        f"limit: {gigabytes:.2f} GB read": Work(
            partial(without_gradients, table.view(torch.uint8).view(torch.int64).max)
        ),
        f"limit: {gigabytes:.2f} GB times a vector": Work(
            partial(without_gradients, torch.nn.functional.linear, vector, table)
        ),
        f"limit: {2 * _SIDE**3 / 1e12:.4f} TFLOP of a product": Work(
            partial(without_gradients, torch.matmul, square, square)
        ),
    }


def product_works(works: Mapping[str, Work], names: Iterable[str], model: nn.Module) -> dict[str, Work]:
    """List the products of other works alone: the same matrices in number and shape, and nothing between them.

    Args:
        works: all that is timed.
        names: those whose products are wanted; each is run once.
        model: which they run.
    """
    found = {}
    for name in names:
        shapes: Counter[tuple[int, int, int]] = Counter()

        def note(layer: nn.Linear, given: tuple[torch.Tensor], _: object, seen: Counter = shapes) -> None:
            seen[given[0].numel() // layer.in_features, layer.in_features, layer.out_features] += 1

        hooks = [layer.register_forward_hook(note) for layer in model.modules() if isinstance(layer, nn.Linear)]
        works[name].run()
        for hook in hooks:
            hook.remove()
        found[f"products of {name}"] = Work(partial(_multiply, shapes, next(model.parameters())))
    return found


@torch.inference_mode()
def _multiply(shapes: Mapping[tuple[int, int, int], int], like: torch.Tensor) -> None:
    for (rows, inner, outer), times in shapes.items():
        states, weight = like.new_ones(rows, inner), like.new_ones(outer, inner)
        for _ in range(times):
            nn.functional.linear(states, weight)
