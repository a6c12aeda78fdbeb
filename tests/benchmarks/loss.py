"""Measure the loss over a large vocabulary, plain and in chunks: `python tests/benchmarks/loss.py`."""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch
from torch import nn

from modeling_florenz.modeling_florenz import chunked_cross_entropy


WIDTH, VOCABULARY, LENGTH, CAP = 1024, 256_000, 128, 30.0


def peak() -> int:
    """Return the largest memory this process had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def step(batch: int, chunk: int) -> dict[str, float]:
    """Run the head and the loss of one training step, forward and backward, all weights trained."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    head = nn.Linear(WIDTH, VOCABULARY, bias=False)
    hidden = torch.randn(batch, LENGTH, WIDTH, requires_grad=True)
    labels = torch.randint(0, VOCABULARY, (batch, LENGTH))
    before = peak()
    start = time.perf_counter()
    if chunk:
        loss = chunked_cross_entropy(hidden, head.weight, labels, CAP, chunk)
    else:
        logits = torch.tanh(head(hidden) / CAP) * CAP
        loss = nn.functional.cross_entropy(logits.float().view(-1, VOCABULARY), labels.view(-1))
    loss.backward()
    seconds = time.perf_counter() - start
    return {"loss": loss.item(), "seconds": seconds, "step_gb": (peak() - before) / 1e9, "peak_gb": peak() / 1e9}


def main() -> None:
    """Run each case in processes of its own, in turns, and print the medians as a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--chunks", type=int, nargs="+", default=[128])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--one", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(step(*arguments.one)))
        return
    print("| batch x length | loss | peak of the step | time | memory | time ratio |\n|---|---|---|---|---|---|")
    for batch in arguments.batches:
        results: dict[int, list[dict[str, float]]] = {chunk: [] for chunk in (0, *arguments.chunks)}
        for _ in range(arguments.runs):
            for chunk, found in results.items():
                command = [sys.executable, __file__, "--one", str(batch), str(chunk)]
                found.append(json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout))
        medians = {
            chunk: {key: statistics.median(row[key] for row in found) for key in found[0]}
            for chunk, found in results.items()
        }
        for chunk, row in medians.items():
            name = f"chunks of {chunk}" if chunk else "all logits"
            gain = (
                f"{medians[0]['step_gb'] / row['step_gb']:.1f}x lower | {row['seconds'] / medians[0]['seconds']:.2f}x"
            )
            assert abs(row["loss"] - medians[0]["loss"]) < 1e-4
            cells = f"{batch} x {LENGTH} | {name} | {row['step_gb']:.2f} GB | {row['seconds']:.1f} s"
            print(f"| {cells} | {gain if chunk else ' | '} |", flush=True)


if __name__ == "__main__":
    main()
