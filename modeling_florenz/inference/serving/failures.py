"""What is answered when a request cannot be: a status and one sentence, as OpenAI's protocol has them."""

import json
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException


class RequestError(Exception):
    """Refuse a request.

    Args:
        status: of HTTP.
        message: one sentence that names the value and what to do.
        retry_after: seconds after which it is worth another try.
    """

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after = status, message, retry_after


def error_body(status: int, message: str) -> dict[str, Any]:
    """Return the body of an error."""
    kinds = {401: "authentication_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def error_response(error: RequestError) -> Response:
    """Return the answer to a request that is refused."""
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    # In ASCII: a message may quote half a surrogate pair.
    body = json.dumps(error_body(error.status, error.message))
    return Response(body, error.status, headers, media_type="application/json")


async def answer_refusal(request: Request, error: Exception) -> Response:
    """Answer a request that was refused here."""
    assert isinstance(error, RequestError)
    return error_response(error)


async def answer_invalid(request: Request, error: Exception) -> Response:
    """Answer a body that is not JSON (400) or not of the form that is described (422)."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return error_response(RequestError(400, f"the body is not JSON: {first['ctx']['error']}"))
    place = ".".join(str(part) for part in first["loc"] if part != "body") or "the body"
    return error_response(RequestError(422, f"{place[:200]}: {first['msg']}"))


async def answer_http_error(request: Request, error: Exception) -> Response:
    """Answer what the framework refuses: unknown paths and methods."""
    assert isinstance(error, HTTPException)
    return error_response(RequestError(error.status_code, f"{request.method} {request.url.path}: {error.detail}"))
