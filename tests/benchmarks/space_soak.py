"""Let eight visitors use the Space for minutes: times, errors, memory and files of the server.

python tests/benchmarks/space_soak.py --output hub_cards/results/space-soak.json

Files are kept for a minute instead of an hour, so that what is never deleted is found.
"""

import argparse
import io
import itertools
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from modeling_florenz.cli.space import find_app
from modeling_florenz.inference.captioner import SAMPLE_IMAGE
from modeling_florenz.resumable import write_json
from modeling_florenz.run_record import run_record


sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from space_server import serve_space  # noqa: E402
from space_visitor import Refused, Visitor  # noqa: E402


VISITORS, KEEP = 8, 60
SOURCE, READINGS = "A picture of pet, bike and plant.", "Ein Bild: Hund, Fahrrad und Palme.\nEin Bild: Katze."
# What a visitor is told by design: of a request too many, and of a broken file.
DESIGNED = ("requests here already", "could not be read", "is not an image")
# Run the app with files that are deleted after seconds.
SHORT = f"""
import os, runpy, sys
sys.path.insert(0, os.path.dirname(sys.argv[1]))
import limits
limits.KEEP_FILES_SECONDS = {KEEP}
runpy.run_path(sys.argv[1], run_name="__main__")
"""
PROTOCOL = (
    f"florenz-tiny behind the Space's own server; {VISITORS} visitors on the same machine, each from an address of "
    "its own, ask one after the other, by chance, for what the page offers, each with a picture uploaded anew, and "
    "half a second of rest on average; memory: resident, median of the second minute and of the last one; files: of "
    f"the server's folder for uploads and results, deleted when {KEEP} s old instead of an hour"
)


class Crowd:
    """Ask for things at random until time is over."""

    def __init__(self, address: str, seconds: float) -> None:
        self.address, self.end = address, time.monotonic() + seconds
        self.times: dict[str, list[float]] = defaultdict(list)
        self.refused: Counter[str] = Counter()
        self.errors: list[str] = []
        self._sample = Image.open(SAMPLE_IMAGE).convert("RGB")

    def visit(self, number: int) -> None:
        """Be one visitor."""
        rng = random.Random(number)
        with tempfile.TemporaryDirectory() as folder, Visitor(self.address, f"127.0.0.{10 + number}") as visitor:
            deeds: dict[str, Callable[[], None]] = {
                "stage": lambda: _all(visitor.ask("arrange", [None], _scene(rng))),
                "caption": lambda: _all(visitor.ask("caption", [file(), "all", "caption", False, rng.random() < 0.3])),
                "caption, left early": lambda: _leave(
                    visitor.ask("caption", [file(), "all", "caption", False, False])
                ),
                "translate": lambda: _all(visitor.ask("translate", [file(), SOURCE, "de", None])),
                "readings": lambda: _all(visitor.ask("score", [file(), SOURCE, "de", READINGS])),
                "inside": lambda: _inside(visitor, file()),
                "batch": lambda: _all(visitor.ask("batch", [[file(), file(), file()], "all", "caption"])),
                "batch, left early": lambda: _leave(visitor.ask("batch", [[file()] * 6, "all", "caption"])),
                "broken file": lambda: _all(visitor.ask("caption", [file(True), "en", "caption", False, False])),
            }

            def file(broken: bool = False) -> dict[str, Any]:
                path = Path(folder) / "picture.png"
                path.write_bytes(_picture(self._sample, rng)[: 900 if broken else None])
                return visitor.upload(path)[0]

            while time.monotonic() < self.end:
                name = rng.choices(list(deeds), (6, 4, 2, 2, 2, 2, 1, 1, 1))[0]
                start = time.monotonic()
                try:
                    deeds[name]()
                    self.times[name].append(time.monotonic() - start)
                except Refused as refused:
                    self.refused[f"{name}: {refused}"] += 1
                except Exception as error:
                    self.errors.append(f"{name}: {error!r}")
                time.sleep(rng.expovariate(2))


def _all(pieces: Any) -> None:
    for _ in pieces:
        pass


def _leave(pieces: Any) -> None:
    for _ in itertools.islice(pieces, 2):
        pass
    pieces.close()


def _inside(visitor: Visitor, file: dict[str, Any]) -> None:
    _all(visitor.ask("look_inside", [file, "en", "caption"], again=True))
    for word in ("3", "4"):
        _all(visitor.ask("look_at_word", [None, word, "mean"], again=True))


def _scene(rng: random.Random) -> dict[str, Any]:
    things = [
        {"emoji": emoji, "x": place, "y": rng.random()}
        for emoji, place in zip(rng.sample("🐕🚲🐈🍄🚗🌹", rng.randint(1, 3)), (0.2, 0.5, 0.8), strict=False)
    ]
    return {"scene": {"things": things, "background": "green"}, "number": 1, "quick": rng.random() < 0.5}


def _picture(sample: Image.Image, rng: random.Random) -> bytes:
    """Return a picture that nobody has uploaded yet."""
    data = io.BytesIO()
    side = rng.randint(300, 380)
    picture = sample.crop((0, 0, side, side))
    picture.putpixel((0, 0), (rng.randrange(256), rng.randrange(256), rng.randrange(256)))
    picture.save(data, "PNG")
    return data.getvalue()


def watch(process: int, folder: Path, until: float) -> list[tuple[float, int, int, int]]:
    """Note time, resident bytes, and number and bytes of files, every second."""
    seen, start = [], time.monotonic()
    while time.monotonic() < until:
        status = Path(f"/proc/{process}/status").read_text()
        resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        # Unlike `rglob`, this passes over folders that are deleted in the meantime.
        sizes = [_size(os.path.join(place, name)) for place, _, names in os.walk(folder) for name in names]
        sizes = [size for size in sizes if size is not None]
        seen.append((time.monotonic() - start, resident * 1024, len(sizes), sum(sizes)))
        time.sleep(1)
    return seen


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:
        return None


def soak(seconds: float) -> dict[str, Any]:
    """Serve, let the crowd in, and tell what happened."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", SHORT, str(find_app())]
        variables = {"FLORENZ_MODEL": "florenz-tiny", "GRADIO_TEMP_DIR": folder, "TMPDIR": folder}
        with serve_space(command, **variables) as served:
            crowd = Crowd(served.address, seconds)
            threads = [threading.Thread(target=crowd.visit, args=(number,)) for number in range(VISITORS)]
            for thread in threads:
                thread.start()
            seen = watch(served.process.pid, Path(folder), crowd.end)
            for thread in threads:
                thread.join()

    def at(minute_end: float, column: int) -> float:
        return statistics.median(row[column] for row in seen if minute_end - 60 <= row[0] < minute_end)

    def cuts(values: list[float]) -> dict[str, Any]:
        twentieths = statistics.quantiles(values, n=20) if len(values) > 1 else values * 19
        return {"count": len(values), "p50": round(twentieths[9], 2), "p95": round(twentieths[18], 2)}

    second, last = at(min(120, seconds), 1), at(seconds, 1)
    undesigned = [sentence for sentence in crowd.refused if not any(words in sentence for words in DESIGNED)]
    return {
        "minutes": seconds / 60,
        "all": cuts([value for values in crowd.times.values() for value in values]),
        "seconds": {name: cuts(values) for name, values in sorted(crowd.times.items())},
        "refused by design": dict(crowd.refused - Counter(undesigned)),
        "errors": crowd.errors + undesigned,
        "memory": {
            "second minute, MB": round(second / 1e6),
            "last minute, MB": round(last / 1e6),
            "growth, percent": round(100 * (last / second - 1), 1),
            "by minute, MB": [round(at(60 * minute, 1) / 1e6) for minute in range(1, int(seconds // 60) + 1)],
        },
        "files": {
            "most": max(row[2] for row in seen),
            "by minute": [round(at(60 * minute, 2)) for minute in range(1, int(seconds // 60) + 1)],
            "MB by minute": [round(at(60 * minute, 3) / 1e6) for minute in range(1, int(seconds // 60) + 1)],
        },
    }


def main() -> None:
    """Soak, print, and write a file of results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    found = soak(arguments.seconds)
    for key, value in found.items():
        print(key, value)
    if arguments.output:
        head = {"name": "the Space under a crowd", "label": "measured-here", "protocol": PROTOCOL}
        write_json(arguments.output, {**head, **run_record(), **found})


if __name__ == "__main__":
    main()
