"""Draw inputs of random batches, prompts and prefixes for models of `random_models`."""

import random

import torch


SIDE, START, BOS = 64, 1, 2


def drawn_inputs(draw: random.Random, batch: int, kind: str) -> dict[str, torch.Tensor]:
    """Draw images or none, ragged prompts, and prefixes or none, which are ragged too where the decoder can."""
    generator = torch.Generator().manual_seed(draw.randrange(2**31))
    longest = draw.randint(3, 12)
    ids = torch.randint(3, 99, (batch, longest), generator=generator)
    mask = torch.ones(batch, longest, dtype=torch.long)
    for row in range(1, batch):
        length = draw.randint(3, longest)
        ids[row, length:], mask[row, length:] = 1, 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    if draw.random() < 0.8:
        inputs["pixel_values"] = torch.randn(batch, 3, SIDE, SIDE, generator=generator)
    if draw.random() < 0.5:
        length = draw.randint(1, 6)
        words = torch.randint(3, 110, (batch, length), generator=generator)
        words = torch.cat((torch.tensor([[START, BOS]]).expand(batch, -1), words), dim=1)
        if kind == "gemma2" and length > 1:
            shorter = torch.arange(batch)[:, None] % length
            hidden = torch.arange(length + 2)[None] < shorter
            words = torch.where(hidden, 0, words)
            words[:, 0] = torch.where(hidden[:, 0], 0, START)
            if bool(hidden.any()):
                inputs["decoder_attention_mask"] = (~hidden).long()
        inputs["decoder_input_ids"] = words
    return inputs


def row_alone(inputs: dict[str, torch.Tensor], row: int) -> dict[str, torch.Tensor]:
    """Take one row, without the padding of its prompt."""
    length = int(inputs["attention_mask"][row].sum())
    return {
        name: value[row : row + 1] if name == "pixel_values" else value[row : row + 1, :length]
        for name, value in inputs.items()
    }
