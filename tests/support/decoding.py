"""Decode with a tiny model, and compare what comes out."""

from typing import Any

import torch
from transformers.modeling_outputs import BaseModelOutput

from modeling_florenz import FlorenzForConditionalGeneration


PROMPTS = (9, 6, 4)  # lengths without padding


START, BOS = 1, 2  # ids of the decoder's vocabulary


NEW_TOKENS = 20  # two and a half times the sliding window


def decode(model: FlorenzForConditionalGeneration, inputs: dict, new_tokens: int = NEW_TOKENS, **settings: Any) -> Any:
    # No early end, no repeated pair and no special ids: random models would otherwise write one id over and over.
    fixed = {"min_new_tokens": new_tokens, "max_new_tokens": new_tokens, "no_repeat_ngram_size": 2}
    fixed["suppress_tokens"] = [0, START, BOS]
    outputs = {"return_dict_in_generate": True, "output_logits": True, "output_scores": True}
    return model.generate(**inputs, **{"do_sample": False, **fixed, **outputs, **settings})


def assert_same(one: Any, other: Any) -> None:
    torch.testing.assert_close(one.sequences, other.sequences, rtol=0, atol=0)
    if "sequences_scores" in one:  # beams
        torch.testing.assert_close(one.sequences_scores, other.sequences_scores, rtol=1e-4, atol=1e-4)
    else:
        torch.testing.assert_close(torch.stack(one.logits), torch.stack(other.logits), rtol=1e-4, atol=1e-4)


def row_of(inputs: dict[str, torch.Tensor], row: int) -> dict[str, torch.Tensor]:
    alone = {name: value[row : row + 1] for name, value in inputs.items()}
    return {name: value if value.ndim == 4 else value[:, : PROMPTS[row]] for name, value in alone.items()}


def prefix_of(*ids: int, rows: int = 3) -> torch.Tensor:
    return torch.tensor([ids]).expand(rows, -1)


def encode(model: FlorenzForConditionalGeneration, inputs: dict) -> tuple[BaseModelOutput, torch.Tensor]:
    with torch.no_grad():
        embeddings, mask, _ = model.model.merge_inputs(**inputs)
        return model.get_encoder()(inputs_embeds=embeddings, attention_mask=mask), mask
