"""Put `florenz serve` under load: right answers, none lost, times, memory, and the gain of shared batches.

python tests/benchmarks/serving.py --output hub_cards/results/serving.json
"""

import argparse
import asyncio
import base64
import io
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image, ImageOps

from modeling_florenz import Captioner
from modeling_florenz.inference.captioner import SAMPLE_IMAGE
from modeling_florenz.resumable import write_json
from modeling_florenz.run_record import run_record


REQUESTS, MALFORMED, ROUNDS, ONE_BY_ONE = 200, 10, 3, 40
PROTOCOL = (
    f"florenz-tiny, 4 beams, on two cores with one thread for each process, clients on the same machine; {REQUESTS} "
    "requests at once, of all languages, two captioning tasks and translation, ten of them malformed, beside a client "
    "that reads nothing and one that hangs up; one by one: a client that waits for every answer"
)
BAD_BODIES = (b"{", b"[" * 50_000, b'{"image": 3}', b'{"image": "http://a/b.png", "languages": ["en"]}')


@dataclass(frozen=True)
class Case:
    """Hold a request and the text that the model writes for it alone."""

    path: str
    body: dict[str, Any]
    expected: str


def images() -> list[Image.Image]:
    """Vary the sample."""
    sample = Image.open(SAMPLE_IMAGE).convert("RGB")
    side = sample.width
    crops = [sample.crop((cut, cut, side - cut, side - cut)) for cut in (8, 16, 24)]
    return [sample, ImageOps.mirror(sample), ImageOps.flip(sample), ImageOps.invert(sample), *crops]


def address(image: Image.Image) -> str:
    """Write an image as a data address."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def cases(captioner: Captioner) -> list[Case]:
    """Ask for every task in every language, by all paths; the captioner answers one by one."""
    found, source = [], "A picture of dog."
    for number, image in enumerate(images()):
        url = address(image)
        part = {"type": "image_url", "image_url": {"url": url}}
        for language in captioner.languages:
            for task in ("caption", "detailed_caption"):
                text = captioner.caption([image], language, task)[0]
                if number % 2:
                    body: dict[str, Any] = {"image": url, "languages": [language], "tasks": [task]}
                    found.append(Case("/v1/captions", body, text))
                else:
                    message = [{"role": "user", "content": [part]}]
                    body = {"model": f"florenz-tiny:{task}:{language}", "messages": message}
                    found.append(Case("/v1/chat/completions", body, text))
            if language != "en":
                text = captioner.translate([image], [source], language)[0]
                body = {"image": url, "text": source, "languages": [language]}
                found.append(Case("/v1/translations", body, text))
    return found


def text_of(case: Case, answer: dict[str, Any]) -> str:
    """Return the one text of an answer."""
    if "choices" in answer:
        return answer["choices"][0]["message"]["content"]
    return (answer.get("captions") or answer["translations"])[0]["text"]


@contextmanager
def served(*options: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """Start a server in a session of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "modeling_florenz.cli", "serve", "--port", str(port), *options]
    process = subprocess.Popen(command, start_new_session=True)
    base = f"http://127.0.0.1:{port}"
    try:
        while True:
            assert process.poll() is None, "the server ended before it was ready"
            try:
                if httpx.get(f"{base}/health").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        yield base, process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(90)


def memory(process: subprocess.Popen) -> float:
    """Add the proportional memory of all processes of a session, in MB."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(folder.name)) == process.pid:
                lines = (folder / "smaps_rollup").read_text().splitlines()
                total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return total / 1024


def one_by_one(base: str, chosen: list[Case]) -> float:
    """Return requests a second of one client that waits for every answer."""
    with httpx.Client(base_url=base, timeout=120) as client:
        for case in chosen[:5]:
            client.post(case.path, json=case.body)
        start = time.monotonic()
        for case in chosen:
            answer = client.post(case.path, json=case.body)
            assert text_of(case, answer.json()) == case.expected
        return len(chosen) / (time.monotonic() - start)


def rude_clients(base: str, case: Case) -> list[socket.socket]:
    """Start a client that never reads its stream, and one that hangs up after its request."""
    body = json.dumps({**case.body, "stream": True}).encode()
    fields = f"Host: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    head = f"POST {case.path} HTTP/1.1\r\n{fields}\r\n\r\n"
    port = int(base.rpartition(":")[2])
    sockets = []
    for _ in range(2):
        rude = socket.socket()
        rude.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        rude.connect(("127.0.0.1", port))
        rude.sendall(head.encode() + body)
        sockets.append(rude)
    sockets.pop().close()
    return sockets


async def at_once(base: str, chosen: list[Case], bad: int, stop: subprocess.Popen | None = None) -> dict[str, Any]:
    """Send all requests at the same time; with `stop`, end the server's whole session in their midst."""
    statuses: Counter[int | str] = Counter()
    times: list[float] = []
    wrong = 0
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=base, timeout=300, limits=limits) as client:

        async def good(case: Case) -> None:
            nonlocal wrong
            start = time.monotonic()
            try:
                answer = await client.post(case.path, json=case.body)
            except httpx.TransportError as error:
                statuses[type(error).__name__] += 1
                return
            times.append(time.monotonic() - start)
            statuses[answer.status_code] += 1
            wrong += answer.status_code == 200 and text_of(case, answer.json()) != case.expected

        async def malformed(number: int) -> None:
            headers = {"Content-Type": "application/json"}
            content = BAD_BODIES[number % len(BAD_BODIES)]
            statuses[(await client.post("/v1/captions", content=content, headers=headers)).status_code] += 1

        async def end() -> None:
            assert stop is not None
            async with httpx.AsyncClient(base_url=base, timeout=60) as watcher:
                while True:  # all are accepted
                    lines = (await watcher.get("/metrics")).text.splitlines()
                    waiting = next(
                        float(line.split()[1]) for line in lines if line.startswith("florenz_waiting_rows ")
                    )
                    if waiting >= 0.8 * len(chosen):
                        break
                    await asyncio.sleep(0.01)
            statuses["waiting at SIGTERM"] = int(waiting)
            os.killpg(stop.pid, signal.SIGTERM)

        start = time.monotonic()
        tasks = [good(case) for case in chosen] + [malformed(number) for number in range(bad)]
        await asyncio.gather(*tasks, *([end()] if stop else []))
        seconds = time.monotonic() - start
    cuts = statistics.quantiles(times, n=20)
    return {
        "statuses": {str(status): count for status, count in sorted(statuses.items(), key=str)},
        "other texts": wrong,
        "seconds": round(seconds, 2),
        "a second": round(len(chosen) / seconds, 1),
        "p50": round(cuts[9], 2),
        "p95": round(cuts[18], 2),
    }


def measure() -> dict[str, Any]:
    """Print a line of JSON for each measurement, and return what a file of results keeps."""
    rng = random.Random(0)
    every = cases(Captioner())
    print(json.dumps({"different requests": len(every)}), flush=True)
    serial = rng.choices(every, k=ONE_BY_ONE)
    with served("--batch-wait", "0.1") as (base, _):
        alone = one_by_one(base, serial)
        print(json.dumps({"one by one, no wait": round(alone, 2)}), flush=True)
    rounds, megabytes = [], []
    with served() as (base, process):
        waited = one_by_one(base, serial)
        print(json.dumps({"one by one, waits 50 ms": round(waited, 2)}), flush=True)
        chat = next(case for case in every if "messages" in case.body)
        for _ in range(ROUNDS):
            rude = rude_clients(base, chat)
            chosen = rng.choices(every, k=REQUESTS - MALFORMED)
            rounds.append(asyncio.run(at_once(base, chosen, MALFORMED)))
            megabytes.append(round(memory(process)))
            for client in rude:
                client.close()
            print(json.dumps(rounds[-1] | {"memory, MB": megabytes[-1]}), flush=True)
        stopped = asyncio.run(at_once(base, rng.choices(every, k=100), 0, process))
        code = process.wait(90)
        print(json.dumps({"SIGTERM": stopped, "exit code": code}), flush=True)
    rate, p50, p95 = (statistics.median(found[key] for found in rounds) for key in ("a second", "p50", "p95"))
    rows = [
        f"| one by one, no waiting for others | {alone:.1f} | | |",
        f"| one by one, waiting 50 ms | {waited:.1f} | | |",
        f"| {REQUESTS} at once, median of three rounds | {rate:.1f} | {p50:.1f} s | {p95:.1f} s |",
    ]
    return {
        "rounds": rounds,
        "megabytes_after_rounds": megabytes,
        "gain": round(rate / alone, 2),
        "gain over waiting": round(rate / waited, 2),
        "answered_after_sigterm": f"{stopped['statuses'].get('200', 0)} of 100",
        "waiting_at_sigterm": stopped["statuses"]["waiting at SIGTERM"],
        "exit_code": code,
        "table": "\n".join(["| | requests a second | p50 | p95 |", "|---|---|---|---|", *rows]),
    }


def main() -> None:
    """Measure, and write a file of results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    found = measure()
    print(found["table"])
    if arguments.output:
        head = {"name": "florenz serve under load", "label": "measured-here", "protocol": PROTOCOL}
        write_json(arguments.output, {**head, **run_record(), **found})


if __name__ == "__main__":
    main()
