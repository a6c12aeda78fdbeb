"""A hundred times as many images need no more memory: texts are read first, images when they are drawn."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hub_thread import HubThread
from PIL import Image


_ROWS, _DRAWS = 500, 800
_READ = """
import glob, json, os, sys
from pathlib import Path
from torch.utils.data import DataLoader
from modeling_florenz.data.dataset_info import HubPlace, Part
from modeling_florenz.data.datasets import find_dataset
from modeling_florenz.training.mixture import Mixture

def collate(rows):
    return [row["image"].size if "image" in row else row["skipped"] for row in rows]

def held():
    pids = [os.getpid(), *map(int, Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())]
    text = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    return sum(int(each.split("Pss:")[1].split()[0]) for each in text) / 1e3

place = HubPlace("owner/big", columns={"image": "photo", "target": "words"}, streaming=True)
rows = find_dataset("hub").load(Part("train", "en", hub=place))
mixture = Mixture({"caption/en": rows}, "rows", int(sys.argv[1]), 0)
peak, seen = 0, []
for batch in DataLoader(mixture, batch_size=8, num_workers=2, collate_fn=collate):
    seen += batch
    if len(seen) % 40 == 0:
        peak = max(peak, held())
assert set(seen) == {(500, 336)}, set(map(str, seen))
print(json.dumps({"rows": len(rows), "peak": peak}))
"""


def _shard(path: Path) -> bytes:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (336, 500, 3), np.uint8))
    buffer = io.BytesIO()
    noise.save(buffer, "BMP")
    images = [buffer.getvalue()[:-4] + number.to_bytes(4, "little") for number in range(_ROWS)]
    assert 500_000 < len(images[0]) < 510_000
    table = pyarrow.table({"photo": images, "words": [f"A picture of noise, {number}." for number in range(_ROWS)]})
    pyarrow.parquet.write_table(table, path, row_group_size=50, use_dictionary=False)
    return path.read_bytes()


def _peak(hub: HubThread, shards: int, blob: str, size: int) -> dict:
    file = {"sha256": blob, "size": size, "lfs": True}  # else its digest is taken anew for each of them
    files = {f"train-{number:05d}.parquet": file for number in range(shards)}
    hub.handler.store.save(
        "dataset",
        "owner/big",
        {"commits": {"1" * 40: files}, "refs": {"main": "1" * 40}, "tags": {}, "private": False},
    )
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-c", _READ, str(_DRAWS)]
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.slow
def test_fifty_thousand_images_need_the_memory_of_five_hundred(tmp_path):
    with HubThread(tmp_path / "hub") as hub:
        content = _shard(tmp_path / "shard.parquet")
        blob = hub.handler.store.add_blob(content)
        few, many = (_peak(hub, shards, blob, len(content)) for shards in (2, 100))
    print(few, many)
    assert many["rows"] == 50_000
    assert abs(many["peak"] / few["peak"] - 1) < 0.05, (few, many)
