"""Visit the Space as a browser does: join its queue and read what it sends, from an address of one's own."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx


FILE = {"meta": {"_type": "gradio.FileData"}}
RESULTS = ("process_generating", "process_completed")


class Refused(Exception):
    """Carries the sentence with which the Space refused something."""


class Visitor:
    """Ask a Space for things.

    Args:
        address: of the Space.
        host: of this machine from which to ask, such as `127.0.0.2`: the Space tells visitors apart by it.
    """

    def __init__(self, address: str, host: str = "127.0.0.1") -> None:
        limits = httpx.Limits(max_connections=None)
        transport = httpx.HTTPTransport(local_address=host, limits=limits)
        self._client = httpx.Client(base_url=f"{address}/gradio_api", transport=transport, timeout=300)
        events = self._client.get(f"{address}/config").json()["dependencies"]
        self._numbers = {event["api_name"]: event["id"] for event in events}
        self.session = secrets.token_hex(6)

    def __enter__(self) -> "Visitor":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def upload(self, *paths: Path) -> list[dict[str, Any]]:
        """Upload files; return what to ask with.

        Raises:
            Refused: the Space does not take them.
        """
        answer = self._client.post("/upload", files=[("files", (path.name, path.read_bytes())) for path in paths])
        if answer.status_code != 200:
            raise Refused(answer.text)
        return [
            {"path": path, "orig_name": asked.name} | FILE for path, asked in zip(answer.json(), paths, strict=True)
        ]

    def ask(self, name: str, given: list[Any], event: Any = None, again: bool = False) -> Iterator[list[Any]]:
        """Yield what an endpoint answers, piece by piece; whoever closes the iterator leaves.

        Args:
            event: data of the event, for what the page alone can ask.
            again: in the same session as the last one of these, one at a time; else in a session of its own.

        Raises:
            Refused: the Space says no.
        """
        session = self.session if again else secrets.token_hex(6)
        body = {"data": given, "event_data": event, "fn_index": self._numbers[name], "session_hash": session}
        joined = self._client.post("/queue/join", json=body)
        if joined.status_code != 200:
            raise Refused(joined.json()["detail"])
        with self._client.stream("GET", "/queue/data", params={"session_hash": session}) as answer:
            for line in answer.iter_lines():
                if not line.startswith("data:"):
                    continue
                message = json.loads(line.removeprefix("data:"))
                if message["msg"] in RESULTS:
                    if not message["success"]:
                        raise Refused(str((message.get("output") or {}).get("error")))
                    yield message["output"]["data"]
                if message["msg"] == "process_completed":
                    return
