"""Measure the memory of training data that is streamed: `python tests/benchmarks/streamed_images.py`.

A small Hub on this machine serves parquet shards of JPEG files of half a megabyte, each made when it is asked for.
They are read, decoded and made smaller by two workers of a loader, in the order of training.
"""

import argparse
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from PIL import Image
from torch.utils.data import DataLoader

from modeling_florenz.data.dataset_info import HubPlace, Part
from modeling_florenz.data.datasets import find_dataset
from modeling_florenz.processing_florenz import to_rgb
from modeling_florenz.training.mixture import Mixture


sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from hub_server import Handler
from hub_thread import HubThread


ROWS, WORKERS, BATCH = 500, 2, 8  # rows of a shard, workers of the loader, rows of a batch
SIZE = 500_000  # bytes of an image
_MARK = b"shard 00000"


def shard() -> bytes:
    """Make a shard of noise, each image of at least `SIZE` bytes with `_MARK` in its comment."""
    rng, rows = np.random.default_rng(0), []
    for number in range(ROWS):
        image = Image.fromarray(rng.integers(0, 256, (580, 800, 3), np.uint8))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=94, comment=_MARK + b" row %03d" % number)
        rows.append(buffer.getvalue())
    assert all(SIZE <= len(row) < 1.1 * SIZE for row in rows), (min(map(len, rows)), max(map(len, rows)))
    table = pyarrow.table({"photo": rows, "words": [f"A picture of noise, {number}." for number in range(ROWS)]})
    buffer = io.BytesIO()
    options: dict[str, Any] = {"row_group_size": 50, "use_dictionary": False, "compression": "none"}
    pyarrow.parquet.write_table(table, buffer, **options)
    return buffer.getvalue()


class ShardHandler(Handler):
    """Serve as many shards as the repository lists, no two images of which are the same file."""

    content: bytes
    marks: tuple[int, ...]  # where each image has its mark

    def resolve(self, kind: str, name: str, revision: str, path: str) -> None:
        start, end = 0, len(self.content) - 1
        if asked := self.headers.get("Range"):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), int(last or end)
        size = {"Content-Range": f"bytes {start}-{end}/{len(self.content)}"} if asked else {}
        self.send_response(206 if asked else 200)
        for key, value in {"ETag": f'"{path}"', "Accept-Ranges": "bytes", "X-Repo-Commit": revision, **size}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(end - start + 1))
        self.end_headers()
        if self.command == "HEAD":
            return
        made = bytearray(self.content[start : end + 1])
        number = path[6:11].encode()
        for mark in self.marks:
            if start <= mark and mark + len(_MARK) <= end + 1:
                made[mark - start + 6 : mark - start + 11] = number
        self.wfile.write(made)


def _small(rows: list[dict[str, Any]]) -> list[tuple[int, ...]]:
    # A mistake of the measurement must not look like flat memory.
    assert all("image" in row for row in rows), rows[0]
    return [np.asarray(to_rgb(row["image"]).resize((64, 64))).shape for row in rows]


def _held() -> float:
    """Return the memory of this process and its workers, shared pages counted once, in MB."""
    own = os.getpid()
    children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
    found = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in (own, *children))
    return sum(int(text.split("Pss:")[1].split()[0]) for text in found) / 1e3


def read(draws: int) -> dict[str, Any]:
    """Draw images as training does, and return the largest memory within each twentieth of the draws."""
    place = HubPlace("owner/big", columns={"image": "photo", "target": "words"}, streaming=True)
    rows = find_dataset("hub").load(Part("train", "en", hub=place))
    mixture = Mixture({"caption/en": rows}, "rows", draws, 0)
    seen, peaks, start = 0, [0.0] * 20, time.perf_counter()
    batches: Iterator[Any] = iter(DataLoader(mixture, batch_size=BATCH, num_workers=WORKERS, collate_fn=_small))
    for batch in batches:
        part = seen * 20 // draws
        seen += len(batch)
        if seen % 40 == 0:
            peaks[part] = max(peaks[part], _held())
    seconds = round(time.perf_counter() - start)
    return {"rows": len(rows), "draws": seen, "seconds": seconds, "peaks_mb": [round(peak, 1) for peak in peaks]}


def main() -> None:
    """Read two shards and then all, and print what was held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--read", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        print(json.dumps(read(arguments.read)))
        return
    content, found = shard(), []
    marks = tuple(match.start() for match in re.finditer(_MARK, content))
    assert len(marks) == ROWS
    with tempfile.TemporaryDirectory() as folder, HubThread(Path(folder)) as hub:
        store, faults = hub.handler.store, hub.handler.faults
        made = {"store": store, "faults": faults, "content": content, "marks": marks}
        hub.server.RequestHandlerClass = type("BoundHandler", (ShardHandler,), made)
        for shards in (2, arguments.images // ROWS):
            # Their digest is never asked for: no file of theirs exists.
            file = {"sha256": "0" * 64, "size": len(content), "lfs": True}
            commits = {"1" * 40: {f"train-{number:05d}.parquet": file for number in range(shards)}}
            repo = {"commits": commits, "refs": {"main": "1" * 40}, "tags": {}, "private": False}
            store.save("dataset", "owner/big", repo)
            environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}
            command = [sys.executable, __file__, "--read", str(shards * ROWS)]
            run = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
            found.append(json.loads(run.stdout.splitlines()[-1]))
            print(found[-1], flush=True)
    if arguments.output:
        arguments.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
