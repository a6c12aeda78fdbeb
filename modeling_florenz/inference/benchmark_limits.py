"""Measure what no model can be faster than on this machine: reading memory, and multiplying matrices."""

from functools import partial

import torch

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
