"""Let nothing in but uploaded images: no address is fetched, and nothing is decoded before its size is known."""

import html
import json
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.route_utils import API_PREFIX
from gradio.utils import get_upload_folder
from limits import MAX_PIXELS, MAX_REQUEST_BYTES
from PIL import Image

from modeling_florenz.data.images import open_image


# What cameras and browsers save. Left to itself, PIL hands EPS files to Ghostscript, which runs them as programs.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
_ADDRESS = re.compile(r"[A-Za-z][\w+.-]+:|//")  # one letter and a colon is a drive of Windows
NO_ADDRESSES = "Addresses are not fetched here: upload the file itself."


def open_upload(path: str | Path, name: str | None = None) -> Image.Image:
    """Open an uploaded file as an upright RGB image.

    Raises:
        ValueError: the file was not uploaded, is not an image of `FORMATS`, is cut short, or has more than
            `MAX_PIXELS` pixels. The sentence names the file by `name`, never by where it is.
    """
    name = name or Path(path).name
    # Gradio asks this too, but not of what looks like the address of a stream.
    if not Path(path).resolve().is_relative_to(Path(get_upload_folder()).resolve()):
        raise ValueError(f"{name} was not uploaded: upload it first")
    return open_image(path, name, FORMATS, MAX_PIXELS)


def clean_text(text: str | None, limit: int, what: str) -> str:
    """Return a text without control characters; too long or empty is a `gr.Error`."""
    text = "".join(char if unicodedata.category(char) not in ("Cc", "Cs") else " " for char in str(text or ""))
    if not (text := text.strip()):
        raise gr.Error(f"{what} is empty: write something first.", print_exception=False)
    if len(text) > limit:
        raise gr.Error(f"{what} has {len(text):,} characters: {limit:,} are allowed.", print_exception=False)
    return text


@contextmanager
def as_messages() -> Iterator[None]:
    """Show what the package refuses as one sentence; messages are rendered as HTML, so they are escaped."""
    try:
        yield
    except gr.Error:
        raise
    except ValueError as error:
        raise gr.Error(html.escape(str(error)), print_exception=False) from None


def names_address(value: Any) -> bool:
    """Return whether a file anywhere in a request is given by an address, which Gradio would fetch.

    Its `url` is not read: there browsers repeat where the Space serves an upload, or put the text of a drawing.
    """
    if isinstance(value, dict):
        if _ADDRESS.match(str(value.get("path") or "").strip()) or value.get("is_stream"):
            return True
        return any(map(names_address, value.values()))
    return isinstance(value, list) and any(map(names_address, value))


class RequestLimits:
    """ASGI middleware: bodies that are not uploads stay small, and no address is fetched for a visitor."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path = scope["path"].lower()
        if "proxy=" in path or any(f"{route}http" in path for route in ("file=", "file/")):
            return await answer(send, 403, NO_ADDRESSES)
        if path.rstrip("/").endswith(f"{API_PREFIX}/upload"):  # has a limit of its own
            return await self.app(scope, receive, send)
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > MAX_REQUEST_BYTES:
                return await answer(send, 413, "This request is too large: upload files, then name them.")
        try:
            refused = bool(body) and names_address(json.loads(body))
        except (ValueError, RecursionError):  # no JSON, or a tower of brackets
            return await answer(send, 400, "This request is not JSON.")
        if refused:
            return await answer(send, 400, NO_ADDRESSES)
        whole = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive_whole() -> Any:
            return whole.pop() if whole else await receive()

        return await self.app(scope, receive_whole, send)


async def answer(send: Any, status: int, sentence: str) -> None:
    """Answer a request with a sentence alone."""
    body = json.dumps({"detail": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
