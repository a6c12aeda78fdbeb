"""The command `florenz benchmark`."""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import DTYPES, at_least_one, check_writable


if TYPE_CHECKING:
    from ..inference.benchmark import Measured


SIZES = ("0.4b", "1.0b", "3.5b", "11.2b")  # as in sizes, which imports transformers


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    benchmark = commands.add_parser(
        "benchmark", help="time a model part by part, beside others and the machine's limits"
    )
    what = benchmark.add_mutually_exclusive_group()
    what.add_argument("--model", metavar="PATH_OR_REPO", help="Florenz folder or repository (default: florenz-tiny)")
    what.add_argument("--size", choices=SIZES, help="random weights in the shape of a published size")
    benchmark.add_argument("--revision", help="branch, tag or commit of the repository")
    benchmark.add_argument("--dtype", choices=DTYPES, default="auto", help="of the weights (default: auto)")
    benchmark.add_argument("--image-size", type=at_least_one, help="pixels of a side (default: the model's, or 768)")
    benchmark.add_argument(
        "--batch", type=_batches, default=(1, 4, 16), help="rows at a time, with commas (default: 1,4,16)"
    )
    benchmark.add_argument("--tokens", type=at_least_one, default=32, help="written after the first (default: 32)")
    benchmark.add_argument("--repeats", type=at_least_one, default=5, help="rounds that count (default: 5)")
    benchmark.add_argument("--threads", type=at_least_one, help="of the CPU (default: torch's)")
    benchmark.add_argument("--against", metavar="PATH_OR_REPO", help="any image-text-to-text model of transformers")
    benchmark.add_argument("--output", type=Path, metavar="FILE.json", help="also write everything there")
    benchmark.set_defaults(run=_benchmark)


def _batches(value: str) -> tuple[int, ...]:
    batches = tuple(at_least_one(batch) for batch in value.split(","))
    if batches[0] != 1 or list(batches) != sorted(set(batches)):
        raise ValueError  # others stand beside a batch of 1
    return batches


_batches.__name__ = "list of growing numbers, 1 the first"  # argparse names it in its sentence


def _benchmark(arguments: argparse.Namespace) -> int:
    if arguments.repeats < 2:
        raise ValueError("--repeats is 1: take 2 or more, for one does not show how much rounds differ")
    if arguments.output:
        check_writable(arguments.output)
    import torch
    from PIL import Image

    from ..checkpoint.loading import BUNDLED_MODEL
    from ..inference.benchmark import machine, measure, model_works, peak_memory, step_gigabytes
    from ..inference.benchmark_limits import limit_works, product_works
    from ..inference.benchmark_peers import florence_works, other_works
    from ..resumable import write_json
    from ..run_record import run_record

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    start = time.perf_counter()
    model, image_size = _load(arguments)
    loading = time.perf_counter() - start
    prompt, tokens, place = 12, arguments.tokens, (model.device, model.dtype)
    works = model_works(model, image_size, prompt, tokens, arguments.batch)
    works |= florence_works(model.config, image_size, prompt, tokens, *place)
    if arguments.against:
        with Image.open(BUNDLED_MODEL / "sample.png") as image:
            works |= other_works(arguments.against, None, image.convert("RGB"), tokens, model.dtype)
    works |= limit_works(*place) | product_works(works, ("tower", "prompt encoder"), model)
    found = measure(works, arguments.repeats)
    ratios = _ratios(found, step_gigabytes(model), tokens)
    print(_table(found, ratios))
    memory = peak_memory()
    print(f"\nloaded in {loading:.2f} s, at most {memory:.2f} GB in use")
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    if arguments.output:
        what = arguments.size and f"{arguments.size}, random weights" or arguments.model or "florenz-tiny"
        record = {
            "name": f"Speed of {what}",
            "label": "measured-here",
            "protocol": {
                "dtype": str(model.dtype).removeprefix("torch."),
                "image_size": image_size,
                "prompt_tokens": prompt,
                "tokens": tokens,
                "repeats": arguments.repeats,
                **machine(),
            },
            "load_seconds": loading,
            "peak_memory_gb": memory,
            "seconds": {name: {"median": one.seconds, "rounds": one.times} for name, one in found.items()},
            "ratios": ratios,
            **run_record(),
        }
        write_json(arguments.output, record)
    return 0


def _load(arguments: argparse.Namespace) -> tuple[Any, int]:
    import torch

    from ..inference.captioner import Captioner
    from ..inference.packed import can_pack, pack_matrices
    from ..modeling_florenz import FlorenzForConditionalGeneration
    from ..sizes import config_from_size

    if not arguments.size:
        captioner = Captioner(arguments.model, arguments.revision, dtype=arguments.dtype)
        return captioner.model, arguments.image_size or captioner.processor.image_processor.size["height"]
    has_gpu = torch.cuda.is_available()
    dtype = (
        torch.bfloat16 if arguments.dtype == "bfloat16" or (arguments.dtype == "auto" and has_gpu) else torch.float32
    )
    model = FlorenzForConditionalGeneration._from_config(config_from_size(arguments.size), dtype=dtype).eval()
    model.to("cuda" if has_gpu else "cpu")
    if can_pack(model):
        pack_matrices(model)
    return model, arguments.image_size or 768


def _ratios(found: "dict[str, Measured]", step: float, tokens: int) -> dict[str, dict[str, float | None]]:
    """Compare the times: what follows the number in the table, and the number; None where rounds differ too much."""
    from ..inference.benchmark import ratio, together

    [(vector, rate)] = [(one, _amount(name)) for name, one in found.items() if name.endswith("times a vector")]

    def beside(name: str) -> dict[str, float | None]:
        one, search = found[name], name.rpartition(", ")[2]
        token = f"token, batch 1, {search}"
        first = {"tower": 1, "prompt encoder": 1, f"first token, batch 1, {search}": 1}
        if name.startswith("token without a cache"):
            return {"x the time with one": ratio(one, found[token])}
        if name.startswith("token, batch ") and name != token:
            rows = int(name.split()[2].rstrip(","))
            share = ratio(found[token], one)
            return {"x the tokens a second of batch 1": share and rows * share}
        if name == "token, batch 1, greedy":
            share = ratio(vector, one)
            return {"of the rate of a matrix times a vector": share and share * step / rate}
        if f"products of {name}" in found:
            return {"of it in its products": ratio(found[f"products of {name}"], one)}
        if name.startswith("image to first token, "):
            return {"x for Florenz": ratio(together(found, first), one)}
        if name.startswith("token, ") and name != token:
            ours = together(found, first | {token: tokens})
            theirs = together(found, {name.replace("token, ", "image to first token, ", 1): 1, name: tokens})
            return {
                "x for Florenz": ratio(found[token], one),
                "x for Florenz with the image": ratio(ours, theirs),
            }
        return {}

    return {name: beside(name) for name in found}


def _table(found: "dict[str, Measured]", ratios: dict[str, dict[str, float | None]]) -> str:
    def beside(name: str) -> str:
        if name.startswith("limit: "):
            return f"{_amount(name) / found[name].seconds:.2f} {name.split()[2]}/s"
        return ", ".join(_told(value, words) for words, value in ratios[name].items())

    lines = ["| work | time | spread of rounds | ratio |", "|---|---|---|---|"]
    lines += [f"| {name} | {_time(one.seconds)} | {one.spread:.0%} | {beside(name)} |" for name, one in found.items()]
    return "\n".join(lines)


def _amount(name: str) -> float:
    return float(name.split()[1])


def _told(value: float | None, words: str) -> str:
    from ..inference.benchmark import STEADY

    if value is None:
        return f"not shown: the rounds differ by more than {STEADY:.0%}"
    return f"{value:.0%} {words}" if words.startswith("of ") else f"{value:.2f} {words}"


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.2f} ms"
