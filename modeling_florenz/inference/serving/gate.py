"""Stand in front of everything: who may come in, how much they may bring, and how long they may take."""

import asyncio
import hmac
import time
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .failures import RequestError, error_response
from .metrics import Metrics


OPEN_PATHS = ("/health",)


@dataclass(frozen=True)
class Bounds:
    """Limit what one request may cost.

    Args:
        body_bytes: of a request; more is read no further than `drained_bytes`.
        seconds: that a client may take to send a request, and to take each piece of an answer.
    """

    body_bytes: int
    seconds: float

    @property
    def all_bytes(self) -> int:
        """Return how much all requests together may bring that are not answered yet."""
        return 8 * self.body_bytes

    @property
    def drained_bytes(self) -> int:
        """Return how much is read and thrown away, so that a client that only sends hears why it is refused."""
        return 8 * self.body_bytes


class Gate:
    """Check the token, read the whole body within its bounds, and count.

    Args:
        app: what is behind it.
        bounds: see there.
        token: that every request must bear, but for health; none is asked for if None.
        metrics: to count in.
        paths: that are counted by name.
    """

    def __init__(
        self, app: ASGIApp, bounds: Bounds, token: str | None, metrics: Metrics, paths: frozenset[str]
    ) -> None:
        self._app, self._bounds, self._token, self._metrics, self._paths = app, bounds, token, metrics, paths
        self._held = 0  # bytes of all requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in self._paths else "other"
        started, status = time.monotonic(), 499  # of clients that leave before they have an answer
        body: list[bytes] = []

        async def send_in_time(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await asyncio.wait_for(send(message), self._bounds.seconds)

        try:
            try:
                self._check_token(scope)
                is_here = await self._read(receive, body)
            except RequestError as error:
                await error_response(error)(scope, receive, send_in_time)
                return
            if is_here:
                body[:] = [b"".join(body)]
                await self._app(scope, _replay(body[0], receive), send_in_time)
        except (TimeoutError, ClientDisconnect):
            pass  # the client does not read; the connection is closed
        finally:
            self._held -= sum(map(len, body))
            self._metrics.requests.labels(path, status).inc()
            self._metrics.seconds.labels(path).observe(time.monotonic() - started)

    def _check_token(self, scope: Scope) -> None:
        if self._token is None or scope["path"] in OPEN_PATHS:
            return
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
            raise RequestError(401, "send the token of this server as 'Authorization: Bearer TOKEN'")

    async def _read(self, receive: Receive, body: list[bytes]) -> bool:
        """Read the parts of a body; return whether the client is still there."""
        bounds, is_too_much = self._bounds, False
        size, deadline = 0, time.monotonic() + bounds.seconds
        more = True
        while more and size <= bounds.drained_bytes:
            try:
                message: dict[str, Any] = dict(await asyncio.wait_for(receive(), deadline - time.monotonic()))
            except TimeoutError:
                if size > bounds.body_bytes:
                    break
                raise RequestError(408, f"the request was not complete within {bounds.seconds:g} s") from None
            if message["type"] == "http.disconnect":
                return False
            part = message.get("body", b"")
            size += len(part)
            is_too_much |= self._held + len(part) > bounds.all_bytes
            if size > bounds.body_bytes or is_too_much:
                self._held -= sum(map(len, body))
                body.clear()
            else:
                self._held += len(part)
                body.append(part)
            more = message.get("more_body", False)
        if size > bounds.body_bytes:
            raise RequestError(413, f"the body has more than the {bounds.body_bytes:,} bytes that are allowed")
        if is_too_much:
            raise RequestError(429, "others have sent too much that waits already: try again in 1 s", retry_after=1)
        return True


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return the body once, and then what else the client does."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
