"""Parts of `bulk.py`: what beams cost in the 0.4b shape, in time and memory, beside rows with keys of their own."""

import ctypes
import gc
from functools import partial
from pathlib import Path
from typing import Any

import torch
from decoding import use
from transformers.modeling_outputs import BaseModelOutput

from modeling_florenz import FlorenzForConditionalGeneration
from modeling_florenz.inference.benchmark import Work, measure, search
from modeling_florenz.sizes import config_from_size


SOURCE = 589  # encoder tokens: an image of the published size and a prompt of twelve


def shape_of_04b() -> FlorenzForConditionalGeneration:
    """Return a model of the 0.4b shape with random weights and a small vision tower, which has no part in it."""
    torch.manual_seed(0)
    config = config_from_size("0.4b")
    config.vision_config.depths = [1, 1, 1, 1]
    return FlorenzForConditionalGeneration(config).eval()


@torch.inference_mode()
def write(model: FlorenzForConditionalGeneration, states: torch.Tensor, rows: int, beams: int, tokens: int) -> Any:
    """Write so many tokens for rows that do not share their encoder states, each with so many beams."""
    encoded = BaseModelOutput(last_hidden_state=states.expand(rows, -1, -1).clone())
    mask = torch.ones(rows, states.shape[1], dtype=torch.long)
    return model.generate(
        encoder_outputs=encoded,
        attention_mask=mask,
        return_dict_in_generate=True,
        **search(model.config.text_config.vocab_size, tokens, beams),
    )


def first_token(repeats: int) -> dict[str, Any]:
    """Compare the first token of 4 beams in the 0.4b shape with that of 4 rows, which is what beams were before.

    The rows have keys of their own, and the head is a plain `nn.Linear`.
    """
    model = shape_of_04b()
    states = torch.randn(1, SOURCE, model.config.encoder_config.d_model)

    def write_before() -> None:
        use(model, "plain")
        write(model, states, 4, 1, 1)
        use(model, "own")

    works = {"4 beams": Work(partial(write, model, states, 1, 4, 1)), "4 rows": Work(write_before)}
    found = measure(works, repeats)
    return (
        {f"{name}, seconds": part.seconds for name, part in found.items()}
        | {f"{name}, spread": part.spread for name, part in found.items()}
        | {"gain": found["4 rows"].seconds / found["4 beams"].seconds}
    )


def beam_memory(repeats: int, tokens: int = 32) -> dict[str, Any]:
    """Return how far the memory of the process rises while beams write, and rows with keys of their own; Linux alone.

    Each is the smallest of several rises: what a process does not give back at once only adds to them.
    """
    model = shape_of_04b()
    states = torch.randn(1, SOURCE, model.config.encoder_config.d_model)
    searches = {"1 beam": (1, 1), "4 beams": (1, 4), "8 beams": (1, 8), "8 rows": (8, 1)}
    rises: dict[str, list[float]] = {name: [] for name in searches}
    found: dict[str, Any] = {}
    for _ in range(repeats):
        for name, (rows, beams) in searches.items():
            before = _begin()
            outputs = write(model, states, rows, beams, tokens)
            rises[name].append(_status("VmHWM") - before)
            layers = outputs.cache.cross_attention_cache.layers
            found[f"{name}, MB of keys and values of the source"] = (
                sum(layer.keys.nbytes + layer.values.nbytes for layer in layers) / 1e6
            )
            del outputs, layers
    return {f"{name}, MB": min(values) for name, values in rises.items()} | found


def _begin() -> float:
    """Give back what is free, forget the largest memory so far, and return what the process has now, in MB."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    [value] = [line.split()[1] for line in lines if line.startswith(name)]
    return int(value) * 1024 / 1e6
