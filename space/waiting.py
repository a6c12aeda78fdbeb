"""Answer while the model is loading: a page that says so and goes on by itself, and a sentence for programs."""

import errno
import functools
import html
import importlib.util
import json
import os
import string
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import Any

from escaped import capital


PAGE = Path(__file__).parent / "stage" / "loading.html"
LOADING = "The model is loading: this takes seconds for a small one and minutes for a large one."
FAILED = "The model could not be loaded. Whoever runs this Space finds the reason in its log."
FIRST_PORT, PORTS = 7860, 100  # where Gradio looks for a free one
ASK_SECONDS = 2  # between two questions of a page that waits; see loading.html
BUNDLED = ("", "florenz-tiny")  # names of the bundled model, which is imported later


class Room(ThreadingTCPServer):
    """Hold whether loading failed, and when a page asked last."""

    allow_reuse_address = daemon_threads = True
    has_failed = False
    asked = float("-inf")

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a visitor who has left
            super().handle_error(request, client_address)


class Waiting(BaseHTTPRequestHandler):
    """Tell that the model is loading: not ready (503) until it is, and broken (500) if it never will be."""

    server: Room
    timeout = 10

    def do_GET(self) -> None:
        if self.path.startswith("/gradio_api/"):
            self.server.asked = time.monotonic()
            return self._answer(json.dumps({"detail": self._sentence}).encode(), "application/json")
        if self.path == "/sample.png" and not _is_another():
            return self._answer((_bundled_folder() / "sample.png").read_bytes(), "image/png")
        return self._answer(_page(self._sentence).encode(), "text/html; charset=utf-8")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.rfile.read(min(int(self.headers.get("content-length") or 0), 1_000_000))
        self._answer(json.dumps({"detail": self._sentence}).encode(), "application/json")

    @property
    def _sentence(self) -> str:
        return FAILED if self.server.has_failed else LOADING

    def _answer(self, body: bytes, kind: str) -> None:
        status = HTTPStatus.INTERNAL_SERVER_ERROR if self.server.has_failed else HTTPStatus.SERVICE_UNAVAILABLE
        self.send_response(HTTPStatus.OK if kind.startswith("image/") else status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.send_header("cache-control", "no-store")
        if not self.server.has_failed:
            self.send_header("retry-after", str(ASK_SECONDS))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def waiting_room() -> Iterator[int]:
    """Answer at GRADIO_SERVER_NAME and GRADIO_SERVER_PORT, or the first free one; yield the port.

    It is free again afterwards. If loading fails, open pages say so before the error is raised again.

    Raises:
        ValueError: the port is taken, or the address is not one of this machine.
    """
    room = _open_room()
    host, port = room.socket.getsockname()[:2]
    print(f"The model is loading; http://{host}:{port}/ says when it is ready.", flush=True)
    threading.Thread(target=room.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield port
    except Exception:
        room.has_failed = True
        if time.monotonic() - room.asked < 2 * ASK_SECONDS:
            time.sleep(2 * ASK_SECONDS)
        raise
    finally:
        room.shutdown()
        room.server_close()


def _open_room() -> Room:
    host = os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    asked = os.environ.get("GRADIO_SERVER_PORT")
    for port in [int(asked)] if asked else range(FIRST_PORT, FIRST_PORT + PORTS):
        try:
            return Room((host, port), Waiting)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ValueError(f"the Space cannot listen at {host}, port {port}: {error.strerror}") from None
    raise ValueError(f"port {port} is taken: give another one")


def _is_another() -> bool:
    return os.environ.get("FLORENZ_MODEL", "") not in BUNDLED


def _page(sentence: str) -> str:
    page = string.Template(PAGE.read_text(encoding="utf-8"))
    return page.substitute(sentence=sentence, example="" if _is_another() else _example())


@functools.cache
def _example() -> str:
    """Return what the bundled model is known to write of its sample."""
    from huggingface_hub import ModelCard  # only here, as it takes a while

    card = ModelCard.load(_bundled_folder() / "README.md")
    rows = ""
    for code, shown in zip(card.data.language, card.data.widget, strict=True):
        language, caption = capital(shown["example_title"].rpartition(" in ")[2]), shown["output"]["text"]
        rows += f"<dt>{html.escape(language)}</dt><dd lang='{html.escape(code)}'>{html.escape(caption)}</dd>"
    return (
        "<figure><img src='sample.png' width='384' height='384' alt='Emoji of a dog, a bicycle and a palm tree'>"
        f"<figcaption><p>What it wrote of this picture before:</p><dl>{rows}</dl></figcaption></figure>"
    )


def _bundled_folder() -> Path:
    package = importlib.util.find_spec("modeling_florenz")
    assert package is not None and package.origin is not None
    return Path(package.origin).parent / "florenz_tiny"
