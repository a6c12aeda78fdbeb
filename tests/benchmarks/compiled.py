"""Time searches with compiled steps beside plain ones: `python tests/benchmarks/compiled.py --output FILE`.

The model is the bundled one, or a published size with random weights. Each row has an image and a prompt, of ragged
lengths; encoder and search are timed, the vision tower is not, as it stays as it is. Both ways run in turn, after one
run that does not count; the gain is the median of the ratios within rounds. Captions of the bundled model end where
they end; random weights write a fixed number of tokens. The ids of both ways are compared. One thread of a CPU.
"""

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch._dynamo.utils import counters

from modeling_florenz import Captioner, FlorenzForConditionalGeneration
from modeling_florenz.data.emoji_scenes import EmojiWorld
from modeling_florenz.inference.compiled import compile_steps
from modeling_florenz.inference.stream import with_features
from modeling_florenz.resumable import write_json
from modeling_florenz.run_record import run_record
from modeling_florenz.sizes import config_from_size


def random_model(size: str, dtype: torch.dtype) -> FlorenzForConditionalGeneration:
    """Make a model of a published size with random weights."""
    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    model = FlorenzForConditionalGeneration(config_from_size(size)).eval()
    torch.set_default_dtype(torch.float32)
    return model


def main() -> None:
    """Time every search, print a line for each and add them to the file of results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="florenz-tiny")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--tokens", type=int, default=32, help="new tokens of random weights")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    dtype = getattr(torch, arguments.dtype)
    tiny = arguments.size == "florenz-tiny"
    captioner = Captioner(device="cpu", dtype=arguments.dtype) if tiny else None
    plain = random_model(arguments.size, dtype) if captioner is None else captioner.model
    fast = copy.copy(plain)  # of the same weights
    fast._modules = dict(plain._modules)
    start = time.perf_counter()
    compile_steps(fast)
    found: dict[str, Any] = {"warm-up, seconds": round(time.perf_counter() - start, 1)}
    graphs = counters["stats"]["unique_graphs"]
    length = {} if tiny else {"min_new_tokens": arguments.tokens, "max_new_tokens": arguments.tokens}
    lines = ["| model | rows | search | plain, ms | compiled, ms | gain |", "|---|---|---|---|---|---|"]
    for rows in arguments.rows:
        inputs = _inputs(captioner, plain, rows)
        for beams in arguments.beams:
            ways: dict[str, Callable[[], torch.Tensor]] = {
                name: lambda model=model, inputs=inputs, beams=beams: model.generate(
                    **inputs, num_beams=beams, do_sample=False, early_stopping=False, **length
                )
                for name, model in (("plain", plain), ("compiled", fast))
            }
            times, equal = _times(ways, arguments.runs)
            gains = [one / other for one, other in zip(times["plain"], times["compiled"], strict=True)]
            middle = {name: statistics.median(values) for name, values in times.items()}
            search = "greedy" if beams == 1 else f"{beams} beams"
            found[f"{rows} rows, {search}"] = {
                "plain, ms": round(1e3 * middle["plain"], 1),
                "compiled, ms": round(1e3 * middle["compiled"], 1),
                "gain": round(statistics.median(gains), 2),
                "gain, lowest and highest round": [round(min(gains), 2), round(max(gains), 2)],
                "equal ids": equal,
            }
            lines.append(
                f"| {arguments.size}, {arguments.dtype} | {rows} | {search} | {1e3 * middle['plain']:.0f} | "
                f"{1e3 * middle['compiled']:.0f} | {statistics.median(gains):.2f} |"
            )
            print(lines[-1], "" if equal else "ids differ", flush=True)
    found["recompiles"] = counters["stats"]["unique_graphs"] - graphs
    found["table"] = "\n".join(lines)
    print(f"warm-up {found['warm-up, seconds']} s, {found['recompiles']} recompiles")
    if arguments.output is not None:
        run = run_record()
        old = json.loads(arguments.output.read_text(encoding="utf-8")) if arguments.output.exists() else {}
        head = {"name": "compiled steps beside plain ones", "label": "measured-here", "protocol": __doc__}
        here = {"command": run["command"], "git_commit": run["git_commit"]}
        write_json(arguments.output, head | run | old | {f"{arguments.size}, {arguments.dtype}": found | here})


@torch.inference_mode()
def _inputs(captioner: Captioner | None, model: FlorenzForConditionalGeneration, rows: int) -> dict[str, Any]:
    """Make the inputs of rows: scenes in all languages for the bundled model, random numbers for random weights."""
    if captioner is not None:
        world = EmojiWorld()
        images = [world.render(world.scene("test", 0, number)) for number in range(rows)]
        languages = [captioner.languages[number % len(captioner.languages)] for number in range(rows)]
        prompts = [captioner.processor.prompt("caption", language) for language in languages]
        inputs = captioner.processor(images=images, text=prompts)
        features = captioner.image_features(inputs["pixel_values"])
    else:
        generator = torch.Generator().manual_seed(0)
        mask = (torch.arange(14)[None] < torch.tensor([[8 + row % 7] for row in range(rows)])).long()
        ids = torch.randint(5, 500, (rows, 14), generator=generator) * mask + (1 - mask)
        inputs = {"input_ids": ids, "attention_mask": mask}
        features = torch.randn(rows, 577, model.config.encoder_config.d_model, generator=generator)
    return with_features(inputs, features.to(model.dtype))


@torch.inference_mode()
def _times(ways: dict[str, Callable[[], torch.Tensor]], runs: int) -> tuple[dict[str, list[float]], bool]:
    times: dict[str, list[float]] = {name: [] for name in ways}
    ids = {}
    for number in range(runs + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            ids[name] = way()
            if number:
                times[name].append(time.perf_counter() - start)
    return times, torch.equal(ids["plain"], ids["compiled"])


if __name__ == "__main__":
    main()
