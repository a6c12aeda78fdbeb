"""`florenz serve` is several processes: none outlives the first one, even if it is killed."""

import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest
from session_workers import workers_of


@pytest.mark.slow
def test_no_process_outlives_a_server_that_is_killed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "modeling_florenz.cli", "serve", "--port", str(port)]
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            _wait(lambda: _is_ready(port))
            assert len(workers_of(process.pid, "")) >= 4  # the first one, HTTP, the model, and what carries jobs
            process.kill()
            process.wait()
            _wait(lambda: not workers_of(process.pid, ""))
        finally:
            for left in workers_of(process.pid, ""):
                os.kill(left, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 3])
def test_a_server_that_loses_its_model_or_its_http_says_so_and_ends(number: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "modeling_florenz.cli", "serve", "--port", str(port)]
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True) as process:
        try:
            _wait(lambda: _is_ready(port))
            # In the order in which they were started: what carries jobs, its helper, the model, HTTP.
            started = [worker for worker in sorted(workers_of(process.pid, "")) if worker != process.pid]
            os.kill(started[number], signal.SIGKILL)
            error = process.communicate(timeout=60)[1]
            assert process.returncode == 2
            assert error.splitlines()[-1].startswith("florenz: a process of the server died, so nothing is served")
            assert "Traceback" not in error
            _wait(lambda: not workers_of(process.pid, ""))
        finally:
            for left in workers_of(process.pid, ""):
                os.kill(left, signal.SIGKILL)


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
    except httpx.TransportError:
        return False


def _wait(until) -> None:
    deadline = time.monotonic() + 300
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.1)
