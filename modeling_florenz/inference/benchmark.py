"""Time a model part by part, in interleaved rounds, beside other models and the limits of the machine.

All works of a round run one after the other, and rounds are repeated: what slows the machine down for a while slows
all alike, so that ratios are taken within rounds. Where they differ too much, times are given and ratios are not.
"""

import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from operator import mul, truediv
from typing import Any

import torch
from tqdm import tqdm
from transformers.modeling_outputs import BaseModelOutput

from ..modeling_florenz import FlorenzForConditionalGeneration


STEADY = 0.2  # how far the ratios of rounds may lie apart, as a share of their median, for it to mean something
BATCHES, BEAMS = (1, 4, 16), (1, 4)


@dataclass(frozen=True)
class Work:
    """Describe something to time.

    Args:
        run: does it once.
        units: what the time is divided by, such as tokens or images.
        less: name of the work whose time comes off first, such as reading before writing.
    """

    run: Callable[[], Any]
    units: int = 1
    less: str | None = None


@dataclass(frozen=True)
class Measured:
    """Hold what was measured of a work: the time of every round, in seconds a unit."""

    times: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Return the median."""
        return statistics.median(self.times)

    @property
    def spread(self) -> float:
        """Return how far the rounds lie apart, as a share of the median."""
        # What remains after a subtraction can be nothing, or less.
        return (max(self.times) - min(self.times)) / self.seconds if self.seconds > 0 else float("inf")


def measure(works: Mapping[str, Work], repeats: int) -> dict[str, Measured]:
    """Run all works in turn, `repeats` times after a round that does not count.

    Returns:
        what was measured, by name.

    Raises:
        ValueError: there are fewer than two repeats.
    """
    if repeats < 2:
        raise ValueError(f"repeats must be at least 2, not {repeats}: one alone does not tell how much they differ")
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in tqdm(range(repeats + 1), desc="rounds", disable=None):
        for name, work in works.items():
            start = time.perf_counter()
            work.run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if number:
                times[name].append(time.perf_counter() - start)
    found = {}
    for name, work in works.items():
        values = times[name]
        if work.less:
            values = [value - less for value, less in zip(values, times[work.less], strict=True)]
        found[name] = Measured(tuple(value / work.units for value in values))
    return found


def together(found: Mapping[str, Measured], counts: Mapping[str, int]) -> Measured:
    """Add up the times of works round by round, each as often as `counts` says."""
    rounds = zip(*(found[name].times for name in counts), strict=True)
    return Measured(tuple(sum(map(mul, times, counts.values())) for times in rounds))


def ratio(one: Measured, other: Measured) -> float | None:
    """Return how many times as long one takes as the other, in the median round; None where rounds differ too much."""
    if min(*one.times, *other.times) <= 0:
        return None
    ratios = Measured(tuple(map(truediv, one.times, other.times)))
    return ratios.seconds if ratios.spread <= STEADY else None


@torch.inference_mode()
def model_works(
    model: FlorenzForConditionalGeneration,
    image_size: int,
    prompt: int,
    tokens: int,
    batches: Sequence[int] = BATCHES,
) -> dict[str, Work]:
    """List what is timed of a Florenz: its parts, its first token, and a token for each batch and search.

    Args:
        model: in evaluation mode.
        image_size: pixels of a side.
        prompt: tokens of the prompt.
        tokens: tokens written; none ends a text.
        batches: rows at a time.
    """
    inputs = _inputs(model, image_size, prompt)
    seen = model.get_image_features(inputs["pixel_values"])
    given = {name: value for name, value in inputs.items() if name != "pixel_values"}
    encoder = partial(_encode, model, given, seen)
    states = encoder()
    works = {
        "tower": Work(partial(without_gradients, model.get_image_features, inputs["pixel_values"])),
        "prompt encoder": Work(encoder),
    }
    for batch in batches:
        for beams in BEAMS:
            name = f"batch {batch}, {name_search(beams)}"
            write = partial(_write, model, states, batch, beams)
            works[f"first token, {name}"] = Work(partial(write, 1))
            works[f"token, {name}"] = Work(partial(write, tokens + 1), tokens, f"first token, {name}")
    short = min(tokens, 8)
    for beams in BEAMS:
        write = partial(_write, model, states, 1, beams, use_cache=False)
        first = f"first token without a cache, {name_search(beams)}"
        works[first] = Work(partial(write, 1))
        works[f"token without a cache, {name_search(beams)}"] = Work(partial(write, short + 1), short, first)
    many = _inputs(model, image_size, prompt, batches[-1])
    words = model.config.text_config.vocab_size
    works[f"image with its text, batch {batches[-1]}, greedy"] = Work(
        partial(without_gradients, model.generate, **many, **search(words, tokens, 1)), batches[-1]
    )
    return works


def step_gigabytes(model: FlorenzForConditionalGeneration) -> float:
    """Return how much of the weights a step with a filled cache reads, in GB; the table is read as the head."""
    decoder = model.model.decoder
    read = {
        id(value): value.numel() * value.element_size()
        for name, value in chain(decoder.named_parameters(), decoder.named_buffers())  # packed matrices are buffers
        # Keys and values of the image and prompt are in the cache.
        if not ("cross_attn." in name or "encoder_attn." in name)
        or not name.endswith(("k_proj.weight", "v_proj.weight", "k_proj.packed", "v_proj.packed"))
    }
    return sum(read.values()) / 1e9


@torch.inference_mode()
def without_gradients(function: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    """Call a function and forget its result."""
    function(*arguments, **named)


def name_search(beams: int) -> str:
    """Return what a table calls a search."""
    return "greedy" if beams == 1 else f"{beams} beams"


def machine() -> dict[str, Any]:
    """Return what times depend on: processor or GPU, threads, versions and system."""
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
    }


def peak_memory() -> float:
    """Return the largest memory so far in GB: of the GPU if there is one, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _inputs(
    model: FlorenzForConditionalGeneration, image_size: int, prompt: int, batch: int = 1
) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(1, 3, image_size, image_size, generator=generator).to(model.device, model.dtype)
    words = model.config.encoder_config.vocab_size
    ids = torch.randint(5, words - 5, (1, prompt), generator=generator).to(model.device)
    ids = ids.expand(batch, -1)
    return {
        "pixel_values": images.expand(batch, -1, -1, -1),
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
    }


@torch.inference_mode()
def _encode(model: Any, given: dict[str, torch.Tensor], seen: Any) -> tuple[torch.Tensor, torch.Tensor]:
    merged, mask = model.model.merge_inputs(**given, mm_encoder_outputs={"image": seen})[:2]
    states = model.model.encoder(inputs_embeds=merged, attention_mask=mask).last_hidden_state
    return states, mask


@torch.inference_mode()
def _write(
    model: Any, encoded: tuple[torch.Tensor, torch.Tensor], batch: int, beams: int, tokens: int, **more: Any
) -> None:
    states, mask = (value.expand(batch, *value.shape[1:]) for value in encoded)
    outputs, words = BaseModelOutput(last_hidden_state=states), model.config.text_config.vocab_size
    model.generate(encoder_outputs=outputs, attention_mask=mask, **search(words, tokens, beams), **more)


def search(words: int, tokens: int, beams: int) -> dict[str, Any]:
    """Return arguments of `generate` that write so many tokens and no fewer.

    Args:
        words: size of the vocabulary; the token that ends a text is one that is not in it. A minimum of tokens would
            cost a copy of all scores a step, which no text costs otherwise.
        tokens, beams: as the table says.
    """
    return {"eos_token_id": words, "max_new_tokens": tokens, "num_beams": beams, "do_sample": False}
