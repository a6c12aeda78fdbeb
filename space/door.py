"""Turn away what is too much before the server works for it: requests of a visitor, and files."""

import re
import time
from collections import deque
from typing import Any

from gradio.route_utils import API_PREFIX
from guard import answer
from limits import AT_DOOR, KEEP_FILES_SECONDS, MAX_BATCH_FILES, UPLOADED_BYTES, UPLOADED_BYTES_BY_ALL
from starlette.formparsers import MultiPartException
from starlette.requests import HTTPConnection
from turns import name_client


_ASKS = re.compile(r"/queue/join/?$|/call/[^/]+/?$|/call/v2/[^/]+/?$")
_PART = b"content-disposition:"


class Door:
    """ASGI middleware around Gradio's own: each visitor has a share of the line and of the disk."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self._uploaded: deque[tuple[float, str, int]] = deque()  # when, by whom, bytes; the oldest first

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self.app(scope, receive, send)
        asking = name_client(HTTPConnection(scope))
        if _ASKS.search(scope["path"]):
            events = scope["app"].get_blocks()._queue.event_ids_to_events.values()
            if sum(name_client(event.request) == asking for event in events) >= AT_DOOR:
                sentence = f"You have {AT_DOOR} requests here already: wait until one of them is done."
                return await answer(send, 429, sentence)
        elif scope["path"].rstrip("/").endswith(f"{API_PREFIX}/upload"):
            receive = self._counted(asking, receive)
        return await self.app(scope, receive, send)

    def _counted(self, asking: str, receive: Any) -> Any:
        """Return a `receive` that ends an upload which is too much; Gradio then deletes what it has of it."""
        files, tail = 0, b""

        async def counted() -> Any:
            nonlocal files, tail
            message = await receive()
            if message["type"] == "http.disconnect":
                raise MultiPartException("The upload was cut short: send it again.")
            body = message.get("body", b"")
            seen = tail + body.lower()
            files, tail = files + seen.count(_PART), seen[1 - len(_PART) :]
            if files > MAX_BATCH_FILES:
                raise MultiPartException(f"At most {MAX_BATCH_FILES} files can be uploaded at once: choose fewer.")
            self._count(asking, len(body))
            return message

        return counted

    def _count(self, asking: str, size: int) -> None:
        now = time.monotonic()
        while self._uploaded and now - self._uploaded[0][0] > 2 * KEEP_FILES_SECONDS:
            self._uploaded.popleft()
        mine = sum(count for _, who, count in self._uploaded if who == asking)
        if mine + size > UPLOADED_BYTES:
            raise MultiPartException("You have uploaded as much as fits here for now: come back in two hours.")
        if sum(count for *_, count in self._uploaded) + size > UPLOADED_BYTES_BY_ALL:
            raise MultiPartException("The disk of this Space is full for now: come back in two hours.")
        if self._uploaded and self._uploaded[-1][1] == asking and now - self._uploaded[-1][0] < 1:
            when, _, count = self._uploaded.pop()
            size, now = size + count, when
        self._uploaded.append((now, asking, size))
