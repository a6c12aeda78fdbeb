"""Measure full-size models with random weights: memory, time for an image, time a word.

python tests/benchmarks/sizes.py [--sizes 0.4b 1.0b 3.5b] [--threads 2]
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
import yaml
from PIL import Image

from modeling_florenz import FlorenzForConditionalGeneration
from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.inference.captioner import Captioner
from modeling_florenz.sizes import config_from_size


FACTS = Path(__file__).parents[2] / "hub_cards" / "facts"


def measure(size: str, threads: int, tokens: int) -> dict[str, float | str]:
    """Read a 768 px image and write greedily, three times each; give medians in seconds."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    dtype = yaml.safe_load((FACTS / f"{size}.yaml").read_text(encoding="utf-8"))["dtype"]
    torch.set_default_dtype(getattr(torch, dtype))
    model = FlorenzForConditionalGeneration(config_from_size(size)).eval()
    image = torch.rand(1, 3, 768, 768)
    prompt = torch.randint(5, 50_000, (1, 12))
    inputs = {"input_ids": prompt, "attention_mask": torch.ones_like(prompt), "pixel_values": image}
    reading, writing = [], []
    for _ in range(3):
        start = time.perf_counter()
        model.generate(**inputs, num_beams=1, max_new_tokens=1, min_new_tokens=1)
        read = time.perf_counter()
        model.generate(**inputs, num_beams=1, max_new_tokens=tokens + 1, min_new_tokens=tokens + 1)
        reading.append(read - start)
        writing.append((time.perf_counter() - read - reading[-1]) / tokens)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {
        "dtype": dtype,
        "image": statistics.median(reading),
        "token": statistics.median(writing),
        "peak": peak,
    }


def time_tiny(threads: int) -> float:
    """Caption the bundled sample greedily 21 times; give the median in seconds."""
    torch.set_num_threads(threads)
    captioner = Captioner()
    image = Image.open(BUNDLED_MODEL / "sample.png")
    seconds = []
    for _ in range(21):
        start = time.perf_counter()
        captioner.caption([image], num_beams=1)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    """Run each size in a process of its own and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["0.4b", "1.0b", "3.5b"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.threads, arguments.tokens)))
        return
    print("| size | dtype | image and first token | each token | peak memory |\n|---|---|---|---|---|", flush=True)
    for size in arguments.sizes:
        command = [sys.executable, __file__, "--one", size, "--threads", str(arguments.threads)]
        command += ["--tokens", str(arguments.tokens)]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(run.stdout.splitlines()[-1])
        row = f"{found['image']:.1f} s | {found['token']:.2f} s | {found['peak']:.1f} GB"
        print(f"| {size} | {found['dtype']} | {row} |", flush=True)
    print(f"florenz-tiny: {time_tiny(arguments.threads):.3f} s a caption")


if __name__ == "__main__":
    main()
