"""Time and profile a step of decoding with plain products and torch's search, with Florenz's own, and packed.

python tests/benchmarks/decoding.py --sizes 0.4b --output hub_cards/results/decoding.json

Random weights in the shape of a published size; all ways run in turn and must write the same ids. What a file of
results has of other sizes and types stays in it.
"""

import argparse
import copy
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from transformers.modeling_outputs import BaseModelOutput

from modeling_florenz import FlorenzForConditionalGeneration
from modeling_florenz.inference.benchmark import STEADY, machine, name_search, search
from modeling_florenz.inference.packed import can_pack, pack_matrices
from modeling_florenz.modeling_florenz import FlorenzLinear
from modeling_florenz.resumable import write_json
from modeling_florenz.run_record import run_record
from modeling_florenz.sizes import config_from_size


SOURCE = 589  # image and prompt tokens
SMALLEST, MANY = FlorenzLinear.smallest, FlorenzForConditionalGeneration.many_words
CELLS = ((1, 1), (1, 4), (4, 1), (2, 4))  # rows and beams
PROTOCOL = (
    f"random weights, {SOURCE} tokens of image and prompt, seconds of each further token, median of interleaved runs "
    "with equal ids; plain: nn.Linear and torch.topk over all words; packed: as Captioner holds matrices in bfloat16; "
    "the profiles list what takes most of a token's time, with the profiler's own cost"
)
# Measured by hand while the above was written, on two CPUs without AMX but where it is said.
TRIED = {
    "one order of the factors for bfloat16": "the weights as the first factor were 1.2 to 1.4 x faster for 1 to 16 "
    "rows on one kind of CPU and 0.75 to 0.95 x on another, where 16 rows of more than 2,048 numbers still gain (1.2 "
    "to 1.5 x; 0.7 to 0.8 x if they are a multiple of 2,048): only those and single rows have a way of their own",
    "torch.mv": "0.75 to 1.3 x nn.Linear in bfloat16, by shape; one thread in float32",
    "two or four chunks of outputs": "equal to nn.Linear in bfloat16, slower than blocks in float32 beyond one row",
    "one row of the view for 4 outputs in float32": "0.5 x, as products of a wide matrix take one thread",
    "2 to 8 rows of twice the width in bfloat16": "1.3 to 0.6 x, by shape",
    "packed weights in float32": "0.7 to 1.1 x Florenz's for 1 and 2 rows, 1.4 to 2.1 x for 4 and 8, 2.1 to 3.6 x for "
    "16, by shape: faster with beams, slower without, so they would have to be held twice; not taken",
    "matrices packed for 16, 32 or 64 rows": "as fast as those packed for any number, within 3 %",
    "huge pages by THP_MEM_ALLOC_ENABLE=1": "0.8 to 1.2 x in three pairs of runs, packed in bfloat16",
    "seven other products with the keys of 16 images": "keys kept transposed: 2 % of a step; the rest is slower",
    "products in 8 bits": "faster up to 4 rows, 6 to 8 x slower at the first token",
    "a static cache alone": "no gain",
}


def main() -> None:
    """Time, profile, print, and write a file of results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["0.4b"])
    parser.add_argument("--dtypes", nargs="+", choices=("float32", "bfloat16"), default=["float32", "bfloat16"])
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found: dict[str, Any] = {}
    for size in arguments.sizes:
        for dtype in arguments.dtypes:
            torch.manual_seed(0)
            config = config_from_size(size)
            model = FlorenzForConditionalGeneration._from_config(config, dtype=getattr(torch, dtype)).eval()
            models = {"plain": model, "own": model}
            if can_pack(model):
                models["packed"] = copy.deepcopy(model)
                pack_matrices(models["packed"])
            for rows, beams in CELLS:
                name = f"{size}, {dtype}, batch {rows}, {name_search(beams)}"
                found[name] = compare(models, rows, beams, arguments.tokens, arguments.repeats)
                print(
                    name, *(f"{key} {value}" for key, value in found[name].items() if "profile" not in key), flush=True
                )
    if arguments.output:
        record = {"name": "Steps of decoding", "label": "measured-here", "protocol": PROTOCOL, **run_record()}
        old = json.loads(arguments.output.read_text(encoding="utf-8"))["steps"] if arguments.output.exists() else {}
        write_json(arguments.output, {**record, "machine": machine(), "steps": old | found, "tried": TRIED})


@torch.inference_mode()
def compare(models: dict[str, Any], rows: int, beams: int, tokens: int, repeats: int) -> dict[str, Any]:
    """Time all ways in turn, compare what they write, and profile each once."""
    model = models["plain"]
    states = torch.rand(1, SOURCE, model.config.encoder_config.d_model, dtype=model.dtype).expand(rows, -1, -1)
    mask = torch.ones(rows, SOURCE, dtype=torch.long)
    words = model.config.text_config.vocab_size

    def write(way: str, count: int) -> torch.Tensor:
        encoded = BaseModelOutput(last_hidden_state=states)
        return models[way].generate(encoder_outputs=encoded, attention_mask=mask, **search(words, count, beams))

    times: dict[str, list[float]] = {way: [] for way in models}
    ids, profiles = {}, {}
    for number in range(repeats + 1):
        for way in times:
            use(models[way], way)
            start = time.perf_counter()
            write(way, 1)
            first = time.perf_counter()
            ids[way] = write(way, tokens + 1)
            if number:
                times[way].append(1000 * (time.perf_counter() - first - (first - start)) / tokens)
    for way in times:
        use(models[way], way)
        with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiled:
            write(way, tokens + 1)
        profiles[way] = _largest_shares(profiled, tokens + 1)
    if not all(torch.equal(ids["plain"], found) for found in ids.values()):
        raise SystemExit("the ways wrote different ids")
    found: dict[str, Any] = {f"{way}_ms": round(statistics.median(times[way]), 1) for way in models}
    found |= _gain(times["plain"], times["own"])
    if "packed" in models:
        found["packed"] = _gain(times["plain"], times["packed"])
    return found | {"profile_ms_a_token": profiles}


def _gain(plain: list[float], others: list[float]) -> dict[str, Any]:
    gains = [one / other for one, other in zip(plain, others, strict=True)]
    return {
        "gain": round(statistics.median(gains), 2),
        "gains_of_runs": [round(gain, 2) for gain in gains],
        "steady": max(gains) - min(gains) <= STEADY * statistics.median(gains),
    }


def use(model: Any, way: str) -> None:
    """Let a model take `plain` products and searches from now on, or its `own`."""
    FlorenzLinear.smallest, model.many_words = (sys.maxsize, sys.maxsize) if way == "plain" else (SMALLEST, MANY)


def _largest_shares(profiled: Any, tokens: int, count: int = 8) -> dict[str, float]:
    entries = profiled.key_averages(group_by_input_shape=True)
    largest = sorted(entries, key=lambda entry: entry.self_cpu_time_total, reverse=True)[:count]
    found = {}
    for entry in largest:
        shapes = " x ".join(str(shape) for shape in entry.input_shapes if shape)
        found[f"{entry.key} {shapes}"] = round(entry.self_cpu_time_total / 1000 / tokens, 2)
    return found | {"all": round(sum(entry.self_cpu_time_total for entry in entries) / 1000 / tokens, 2)}


if __name__ == "__main__":
    main()
