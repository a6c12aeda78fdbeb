"""A small server that speaks OpenAI's protocol, on this machine: slow, and in trouble as often as it is told."""

import base64
import hashlib
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ChatServer(ThreadingHTTPServer):
    """Describe images by the digest of their bytes.

    Args:
        trouble: probability by kind: error, limit, broken, html, hang, empty.
        key: that requests must bear; none is asked for if empty.
        delay: before each answer, in seconds.
    """

    daemon_threads = True

    def __init__(self, trouble: dict[str, float], key: str = "", delay: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.trouble, self.key, self.delay = trouble, key, delay
        self.thing = "a thing"
        self.rng, self.lock = random.Random(0), threading.Lock()
        self.described: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.requests: list[dict[str, Any]] = []
        self.at_once = self.most_at_once = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: ChatServer

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
            server.requests.append(body)
            draw, kind = server.rng.random(), "good"
            for name, share in server.trouble.items():
                if draw < share:
                    kind = name
                    break
                draw -= share
            server.statuses[kind] += 1
        time.sleep(server.delay + (3 if kind == "hang" else 0))
        with server.lock:
            server.at_once -= 1
        if server.key and self.headers.get("Authorization") != f"Bearer {server.key}":
            self._answer(401, "{}")
        elif kind in ("error", "limit"):
            self._answer(500 if kind == "error" else 429, "{}", {"Retry-After": "0"})
        elif kind in ("broken", "html"):
            self._answer(200, '{"choices": [' if kind == "broken" else "<html>Welcome</html>")
        else:
            url = body["messages"][0]["content"][0]["image_url"]["url"]
            digest = hashlib.sha256(base64.b64decode(url.partition("base64,")[2])).hexdigest()
            with server.lock:
                server.described[digest] += 1
            text = "" if kind == "empty" else f"the picture {digest[:8]} shows {server.thing}. It is there."
            self._answer(200, json.dumps({"choices": [{"message": {"content": text}}]}))

    def _answer(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        try:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(text)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())
        except OSError:
            pass  # whoever asked has gone

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def serve_chat(trouble: dict[str, float] | None = None, key: str = "", delay: float = 0.0) -> Iterator[ChatServer]:
    """Run a server until the block ends."""
    server = ChatServer(trouble or {}, key, delay)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
