"""Ask an endpoint that speaks OpenAI's protocol to describe images: patient where it falters, and bounded."""

import base64
import io
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..extras import install_command
from .recipe import Describe


_LONGEST_WAIT = 30.0  # seconds between attempts
_PASSING = frozenset((408, 409, 425, 429))


class EndpointError(ValueError):
    """The endpoint refuses every request, so that nothing can be described."""


def ask_endpoint(images: Sequence[bytes], options: Describe) -> list[tuple[str | None, str]]:
    """Describe image files, several at a time.

    Args:
        images: the bytes of files that a browser can show.
        options: the recipe's.

    Returns:
        for each image a description and an empty text, or None and what went wrong at the last attempt.

    Raises:
        EndpointError: no connection can be made, or a request is refused for good, such as for its key.
    """
    httpx = _httpx()
    headers = {"Authorization": f"Bearer {_key(options)}"} if options.key_variable else {}
    limits = httpx.Limits(max_connections=options.concurrency)
    timeout = httpx.Timeout(options.timeout, connect=min(10.0, options.timeout))
    with (
        httpx.Client(headers=headers, limits=limits, timeout=timeout, follow_redirects=False) as client,
        ThreadPoolExecutor(options.concurrency) as threads,
    ):
        futures = [threads.submit(_ask, client, image, options) for image in images]
        try:
            return [future.result() for future in futures]
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def _key(options: Describe) -> str:
    key = os.environ.get(options.key_variable, "").strip()
    if not key:
        raise EndpointError(
            f"describe.key_variable: the environment variable {options.key_variable} is not set: set it"
        )
    return key


def _ask(client: Any, image: bytes, options: Describe) -> tuple[str | None, str]:
    httpx, problem, unreached, wait = _httpx(), "", False, 0.0
    url = f"{options.endpoint.rstrip('/')}/chat/completions"
    body = _request(image, options)
    for attempt in range(options.attempts):
        time.sleep(wait)
        wait = min(_LONGEST_WAIT, 0.25 * 2**attempt)
        unreached = False
        try:
            answer = client.post(url, json=body)
        except httpx.ConnectError as error:
            problem, unreached = f"no connection ({error})", True
            continue
        except httpx.TimeoutException:
            problem = f"no answer within {options.timeout:g} seconds"
            continue
        except httpx.HTTPError as error:
            problem = f"the connection broke ({type(error).__name__})"
            continue
        if answer.status_code in _PASSING or answer.status_code >= 500:
            problem = f"status {answer.status_code}"
            wait = _asked_wait(answer.headers.get("retry-after", ""), wait)
            continue
        if answer.status_code in (400, 413, 415, 422):
            return None, f"the endpoint does not take this image: status {answer.status_code}"
        if answer.status_code != 200:
            raise EndpointError(
                f"{options.endpoint} answers with status {answer.status_code}: check describe.endpoint, "
                "describe.model and the key in describe.key_variable"
            )
        text, problem = _text(answer)
        if text is not None:
            return text, ""
    if unreached:
        raise EndpointError(f"{options.endpoint} cannot be reached: start the server, or check describe.endpoint")
    return None, problem


def _request(image: bytes, options: Describe) -> dict[str, Any]:
    address = f"data:{_media_type(image)};base64,{base64.b64encode(image).decode()}"
    content = [{"type": "image_url", "image_url": {"url": address}}, {"type": "text", "text": options.prompt}]
    return {
        "model": options.model,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": options.max_new_tokens,
        "temperature": 0,
    }


def _media_type(image: bytes) -> str:
    from PIL import Image

    with Image.open(io.BytesIO(image)) as opened:
        return Image.MIME.get(opened.format or "", "image/png")


def _text(answer: Any) -> tuple[str | None, str]:
    try:
        text = answer.json()["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError):
        kind = answer.headers.get("content-type", "nothing").partition(";")[0]
        return None, f"an answer without a text ({kind})"
    return (text, "") if isinstance(text, str) else (None, "an answer without a text")


def _asked_wait(value: str, otherwise: float) -> float:
    try:
        return min(_LONGEST_WAIT, max(otherwise, float(value)))
    except ValueError:
        return otherwise


def _httpx() -> Any:
    try:
        import httpx
    except ImportError:
        raise ValueError(f"asking an endpoint needs httpx: {install_command('synthesis')}") from None
    return httpx
