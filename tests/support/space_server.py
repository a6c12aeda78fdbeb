"""Serve the Space in a process of its own, and count who follows an address that it was given."""

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import NamedTuple

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.cli.space import find_app


STARTED_WITHIN = 600  # seconds; a cold disk and a busy machine read torch slowly


class Served(NamedTuple):
    """Hold where the Space is served, and the process that does it."""

    address: str
    process: subprocess.Popen


@contextmanager
def serve_space(command: list[str] | None = None, **variables: str) -> Iterator[Served]:
    """Start the Space, or a command that does, and wait until it answers; `variables` are of its environment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    environment = os.environ | {"GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1"} | variables
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command or [sys.executable, str(find_app())], env=environment, **quiet) as process:
        try:
            for _ in range(STARTED_WITHIN * 4):
                assert process.poll() is None, "the Space ended before it was ready"
                try:
                    urllib.request.urlopen(f"{address}/config", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.25)
            yield Served(address, process)
        finally:
            process.terminate()


class Listener(BaseHTTPRequestHandler):
    """Send a picture to whoever asks, and count the requests."""

    hits = 0

    def do_GET(self) -> None:
        type(self).hits += 1
        self.send_response(200)
        self.end_headers()
        self.wfile.write((BUNDLED_MODEL / "sample.png").read_bytes())

    do_HEAD = do_POST = do_GET

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def listen() -> Iterator[str]:
    """Listen on loopback with `Listener.hits` at 0; give host and port."""
    Listener.hits = 0
    server = HTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
