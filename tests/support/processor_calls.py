"""Call the processor with one red picture, and read what comes back."""

from pathlib import Path

import torch
from PIL import Image


SHARED = Path(__file__).resolve().parents[3] / "shared"

RED = Image.new("RGB", (20, 10), (255, 0, 0))


def texts(tokenizer: object, ids: torch.Tensor) -> list[str]:
    return [tokenizer.decode(row, skip_special_tokens=True).strip() for row in ids]
