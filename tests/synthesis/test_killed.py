"""Drivers and processes that are killed at random moments: the next run goes on, and the data has the same bytes."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


SMALL = ["images.scenes=60", "bitexts.0.scenes=200", "shard=6", "decontaminate.skip=[emoji_scenes]"]


def _start(folder: Path, processes: int = 1) -> subprocess.Popen[bytes]:
    changes = [word for change in SMALL for word in ("--set", change)]
    command = [sys.executable, "-m", "modeling_florenz.cli", "synthesize", "emoji", "--output", str(folder)]
    command += ["--processes", str(processes), *changes]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(entry.parent.name))
    return found


def _wait_for_work(process: subprocess.Popen[bytes], folder: Path, seconds: float) -> None:
    work, before = folder.with_name(f"{folder.name}.work"), time.time()
    while process.poll() is None and not any(
        path.stat().st_mtime > before for path in work.glob("*/settings.json") if path.exists()
    ):
        if time.time() - before > 12 + seconds:
            break
        time.sleep(0.02)
    time.sleep(seconds)


@pytest.mark.slow
def test_a_driver_that_is_killed_ten_times_gives_the_same_bytes(tmp_path: Path) -> None:
    assert _start(tmp_path / "whole").wait() == 0
    rng, folder, kills = random.Random(18), tmp_path / "killed", 0
    for _ in range(10):
        process = _start(folder)
        _wait_for_work(process, folder, rng.uniform(0, 1.5))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    assert _start(folder).wait() == 0
    assert kills >= 5
    shards = {name: content for name, content in _contents(folder.with_name("killed.work")).items() if "part-" in name}
    assert shards == {name: content for name, content in _contents(tmp_path / "whole.work").items() if "part-" in name}
    data = {name: content for name, content in _contents(folder).items() if name.startswith("data")}
    assert data == {
        name: content for name, content in _contents(tmp_path / "whole").items() if name.startswith("data")
    }
    assert not list(tmp_path.glob("killed.work/*/*.partial"))


@pytest.mark.slow
def test_a_killed_process_is_told_and_a_killed_driver_leaves_none_behind(tmp_path: Path) -> None:
    assert _start(tmp_path / "whole").wait() == 0
    folder, told = tmp_path / "killed", 0
    for target in ("worker", "driver"):
        process = _start(folder, processes=2)
        deadline = time.time() + 60
        while process.poll() is None and len(_children(process.pid)) < 3 and time.time() < deadline:
            time.sleep(0.02)
        workers = _children(process.pid)
        if target == "worker" and workers:
            os.kill(workers[-1], signal.SIGKILL)
            assert process.wait(timeout=120) in (0, 2)
            told += b"died: run the command again" in process.stderr.read()
        else:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            deadline = time.time() + 60
            while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.time() < deadline:
                time.sleep(0.1)
            assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert told == 1
    assert _start(folder, processes=2).wait() == 0
    data = {name: content for name, content in _contents(folder).items() if name.startswith("data")}
    assert data == {
        name: content for name, content in _contents(tmp_path / "whole").items() if name.startswith("data")
    }
