"""Steps on a Ray cluster: the same bytes as without, whoever is killed, and plans that would hang are refused."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import slow_steps
from session_workers import workers_of

from modeling_florenz.synthesis.run_step import run_step


SHARDS, SECONDS = 40, 0.15


def _start(folder: Path, processes: int, ray: str) -> subprocess.Popen[str]:
    command = [sys.executable, slow_steps.__file__, str(folder), str(SHARDS), str(SECONDS), str(processes), ray]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def _shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("slow/part-*.parquet"))}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    run_step(slow_steps.Slow(0), slow_steps.slow_batches(SHARDS), folder)
    assert len(_shards(folder)) == SHARDS
    return _shards(folder)


def _wait_for_new_shard(process: subprocess.Popen[str], folder: Path) -> None:
    had, deadline = len(_shards(folder)), time.time() + 90
    while process.poll() is None and len(_shards(folder)) == had and time.time() < deadline:
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("ray", ["", "local"])
def test_a_driver_that_is_killed_ten_times_loses_nothing(ray: str, tmp_path: Path, whole: dict[str, bytes]) -> None:
    if ray:
        pytest.importorskip("ray")
    rng, kills = random.Random(3), 0
    for _ in range(10):
        process = _start(tmp_path, 2, ray)
        _wait_for_new_shard(process, tmp_path)
        time.sleep(rng.uniform(0, 0.2))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
    assert kills >= 8
    last = _start(tmp_path, 2, ray)
    out, error = last.communicate(timeout=120)
    assert last.returncode == 0, error
    assert out.split()[0] == str(4 * SHARDS)
    assert _shards(tmp_path) == whole


def _workers(driver: int, ray: bool) -> list[int]:
    return workers_of(driver, "MapWorker" if ray else "spawn_main")


@pytest.mark.slow
def test_ten_killed_processes_are_told_and_nothing_is_lost(tmp_path: Path, whole: dict[str, bytes]) -> None:
    rng, told = random.Random(4), 0
    for _ in range(10):
        process = _start(tmp_path, 2, "")
        _wait_for_new_shard(process, tmp_path)
        time.sleep(rng.uniform(0, 0.2))
        if workers := _workers(process.pid, ray=False):
            os.kill(rng.choice(workers), signal.SIGKILL)
        _, error = process.communicate(timeout=120)
        told += "a process of slow died: run the command again to go on" in error
    assert told >= 8
    assert _start(tmp_path, 2, "").wait(timeout=120) == 0
    assert _shards(tmp_path) == whole


@pytest.mark.slow
def test_ten_killed_actors_are_replaced_and_nothing_is_lost(tmp_path: Path, whole: dict[str, bytes]) -> None:
    pytest.importorskip("ray")
    rng, kills, runs = random.Random(5), 0, 0
    while kills < 10 and runs < 10:
        for path in tmp_path.glob("slow/part-*"):
            path.unlink()
        process, runs = _start(tmp_path, 2, "local"), runs + 1
        while process.poll() is None and kills < 10:
            _wait_for_new_shard(process, tmp_path)
            time.sleep(rng.uniform(0, 0.4))
            if process.poll() is None and (workers := _workers(process.pid, ray=True)):
                os.kill(rng.choice(workers), signal.SIGKILL)
                kills += 1
        out, error = process.communicate(timeout=300)
        assert process.returncode == 0, error
        assert _shards(tmp_path) == whole
    assert kills == 10
