"""Measure how long a visitor of the Space waits for first words, alone and beside one who asks for very much.

python tests/benchmarks/space.py --output hub_cards/results/space.json
"""

import argparse
import statistics
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from modeling_florenz.inference.captioner import SAMPLE_IMAGE
from modeling_florenz.resumable import write_json
from modeling_florenz.run_record import run_record


sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from space_server import serve_space  # noqa: E402
from space_visitor import Refused, Visitor  # noqa: E402


BATCHES, FILES = 34, 32
PROTOCOL = (
    "florenz-tiny behind the Space's own server, visitors on the same machine from loopback addresses of their own; "
    "first words: from asking for a caption in six languages to its first piece, medians over all rounds; beside: "
    f"another one sends {BATCHES} batch requests of {FILES} files in six languages at once"
)


def first_words(visitor: Visitor, picture: dict[str, Any]) -> tuple[float, float]:
    """Return the seconds until the first words, and until the last ones."""
    start = time.monotonic()
    pieces = visitor.ask("caption", [picture, "all", "caption", False, False])
    next(pieces)
    first = time.monotonic() - start
    for _ in pieces:
        pass
    return first, time.monotonic() - start


class Greedy:
    """Send batch requests all at once, and leave when told to."""

    def __init__(self, address: str, host: str) -> None:
        self._visitor = Visitor(address, host)
        self._files = self._visitor.upload(SAMPLE_IMAGE) * FILES
        self._left = threading.Event()
        self.answers: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._run) for _ in range(BATCHES)]

    def __enter__(self) -> "Greedy":
        for thread in self._threads:
            thread.start()
        time.sleep(1.5)  # until all of them are refused or at work
        return self

    def __exit__(self, *error: object) -> None:
        self._left.set()
        for thread in self._threads:
            thread.join()
        self._visitor.close()

    def _run(self) -> None:
        images = 0
        try:
            for _ in self._visitor.ask("batch", [self._files, "all", "caption"]):
                images += 1
                if self._left.is_set():
                    break
            self.answers["let in"] += 1
            self.answers["images"] += images
        except Refused as refused:
            self.answers[str(refused)] += 1


def measure(rounds: int, asks: int, pause: float) -> dict[str, Any]:
    """Ask alone and beside the greedy one, by turns."""
    waits: dict[str, list[tuple[float, float]]] = {"alone": [], "beside": []}
    answers: Counter[str] = Counter()
    with serve_space(FLORENZ_MODEL="florenz-tiny") as served, Visitor(served.address, "127.0.0.2") as honest:
        [picture] = honest.upload(SAMPLE_IMAGE)
        for _ in range(3):
            first_words(honest, picture)

        def ask(where: str) -> None:
            for _ in range(asks):
                waits[where].append(first_words(honest, picture))
                time.sleep(pause)

        for number in range(rounds):
            ask("alone")
            # Another one in each round: what the last one left behind may still end.
            with Greedy(served.address, f"127.0.0.{3 + number}") as greedy:
                ask("beside")
            answers.update(greedy.answers)
            time.sleep(2)
    found = {
        where: {
            "first words, seconds": round(statistics.median(first for first, _ in times), 4),
            "slowest first words, seconds": round(max(first for first, _ in times), 4),
            "six captions, seconds": round(statistics.median(last for _, last in times), 4),
        }
        for where, times in waits.items()
    }
    first = {where: found[where]["first words, seconds"] for where in found}
    return {**found, "first words, ratio": round(first["beside"] / first["alone"], 2), "batch requests": dict(answers)}


def main() -> None:
    """Measure, print, and write a file of results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--asks", type=int, default=10, help="captions asked for in each half of a round")
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between them")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    found = measure(arguments.rounds, arguments.asks, arguments.pause)
    print(found)
    if arguments.output:
        head = {"name": "the Space beside a greedy visitor", "label": "measured-here", "protocol": PROTOCOL}
        write_json(arguments.output, {**head, **run_record(), **found})


if __name__ == "__main__":
    main()
