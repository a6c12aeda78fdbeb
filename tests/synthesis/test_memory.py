"""A long run: memory stays what it was after ten thousand rows, and the plan foretold how long it takes."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest


CHANGES = ["images.scenes=14000", "bitexts.0.scenes=200000", "shard=128"]


def _command(folder: Path, *more: str) -> list[str]:
    changes = [word for change in CHANGES for word in ("--set", change)]
    return [
        sys.executable,
        "-m",
        "modeling_florenz.cli",
        "synthesize",
        "emoji",
        "--output",
        str(folder),
        *changes,
        *more,
    ]


def _memory(process: subprocess.Popen[bytes]) -> float:
    """Return what the process holds, in MB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    return int(found[1]) / 1000 if found else 0.0


def _watch(folder: Path) -> tuple[float, dict[str, list[tuple[int, float]]]]:
    """Run to the end; return seconds, and rows and memory by step."""
    seen: dict[str, list[tuple[int, float]]] = {}
    size = {"bitexts": 128 * 20, "match": 128 * 20}
    before = time.monotonic()
    with subprocess.Popen(_command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            shards = list(folder.with_name(f"{folder.name}.work").glob("*/part-*.parquet"))
            if shards:
                try:
                    newest = max(shards, key=lambda path: path.stat().st_mtime_ns)
                    step = newest.parent.name
                    rows = (int(newest.stem.removeprefix("part-")) + 1) * size.get(step, 128)
                    seen.setdefault(step, []).append((rows, _memory(process)))
                except OSError:
                    continue
            time.sleep(0.25)
        assert process.returncode == 0
    return time.monotonic() - before, seen


@pytest.mark.slow
def test_memory_is_flat_and_the_plan_is_right_over_200000_rows(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    subprocess.run(_command(folder, "--limit", "5120"), check=True, capture_output=True)
    plan = subprocess.run(_command(folder, "--dry-run"), check=True, capture_output=True, text=True).stdout
    planned = 3600 * float(re.search(r"in all: (\S+) hours", plan)[1])
    seconds, seen = _watch(folder)
    rows = sum(pq.read_metadata(path).num_rows for path in folder.glob("data/*.parquet"))
    print(plan, f"planned {planned:.0f} s, took {seconds:.0f} s, {rows} rows")
    pairs = [(count, memory) for step in ("bitexts", "match") for count, memory in seen[step] if count >= 10_000]
    for step, entries in seen.items():
        print(step, entries[0], max(memory for _, memory in entries), entries[-1])
    early = next(memory for count, memory in seen["bitexts"] if count >= 10_000)
    late = [memory for count, memory in seen["bitexts"] if count >= 190_000]
    print(f"after 10,000 rows {early:.1f} MB, at the end of the step {max(late):.1f} MB, most {max(pairs)[1]:.1f} MB")
    assert rows >= 100_000
    assert max(late) <= 1.05 * early
    assert abs(planned - seconds) <= 0.25 * seconds
