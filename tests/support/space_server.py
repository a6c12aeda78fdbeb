"""Serve the Space in a process of its own, and count who follows an address that it was given."""

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.cli.space import find_app


STARTED_WITHIN = 600  # seconds; a cold disk and a busy machine read torch slowly


class Served(NamedTuple):
    """Hold where the Space is served, and the process that does it."""

    address: str
    process: subprocess.Popen


@contextmanager
def serve_space(
    command: list[str] | None = None, at: str = "", loads: bool = False, **variables: str
) -> Iterator[Served]:
    """Start the Space, or a command that does, and wait until it is ready.

    Args:
        at: address where another one was served.
        loads: wait only until it tells that it is not ready.
        variables: of its environment.
    """
    if at:
        port = int(at.rpartition(":")[2])
    else:
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
                except urllib.error.HTTPError as error:
                    if loads and error.code == 503:
                        break
                except OSError:
                    pass
                time.sleep(0.25)
            yield Served(address, process)
        finally:
            process.terminate()


WATCHED_FOLDERS = ("journal", "uploads", "results")
# Run the app and write down what it opens, connects to and starts.
WATCHED = """
import os, runpy, sys
log = open(sys.argv[1], "w", buffering=1)
def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        log.write("open " + repr(os.fsdecode(arguments[0])) + "\\n")
    elif event in ("socket.connect", "socket.getaddrinfo", "os.system", "subprocess.Popen", "os.exec"):
        log.write(event + " " + repr(arguments) + "\\n")
sys.addaudithook(watch)
app = sys.argv[2]
sys.path.insert(0, os.path.dirname(app))
runpy.run_path(app, run_name="__main__")
"""


@contextmanager
def serve_watched(folder: Path) -> Iterator[Served]:
    """Serve the Space and write down what it opens, connects to and starts, in the journal of an empty folder."""
    journal, uploads, results = (folder / name for name in WATCHED_FOLDERS)
    results.mkdir()
    command = [sys.executable, "-c", WATCHED, str(journal), str(find_app())]
    with serve_space(
        command, FLORENZ_MODEL="florenz-tiny", GRADIO_TEMP_DIR=str(uploads), TMPDIR=str(results)
    ) as served:
        yield served


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
