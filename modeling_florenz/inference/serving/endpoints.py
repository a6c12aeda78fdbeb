"""What is served at which path."""

import asyncio
import itertools
import json
import math
import time
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from .asking import Understanding
from .failures import RequestError, error_body
from .jobs import Growth, Job, Result, Text
from .office import Office, Place
from .schema import (
    MOST_ROWS,
    AnswerMessage,
    CandidateScore,
    Caption,
    CaptionsAnswer,
    CaptionsRequest,
    ChatAnswer,
    ChatRequest,
    Choice,
    ErrorAnswer,
    Health,
    Model,
    Models,
    ScoresAnswer,
    ScoresRequest,
    TextPart,
    Translation,
    TranslationsAnswer,
    TranslationsRequest,
    Usage,
)


REFUSALS = {
    400: "not JSON, or an unknown model, task, language or instruction, or an address that holds no image",
    401: "no token, or a wrong one",
    408: "the request came too slowly",
    413: "the body has too many bytes, or the image too many pixels",
    422: "a field is missing, unknown or of the wrong kind, or the image is broken",
    429: "too much waits already; `Retry-After` says for how long",
    500: "the model failed",
    504: "no answer in time",
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": reason} for status, reason in REFUSALS.items()
}
# Decoded images are large: only so many exist at a time.
_DECODERS = 2


def build_router(understanding: Understanding, office: Office, is_ready: Callable[[], bool]) -> APIRouter:
    """Build the paths of a server.

    Args:
        understanding: of requests.
        office: where jobs are handed in.
        is_ready: whether the model is loaded.
    """
    router = APIRouter()
    name, started = understanding.name, int(time.time())
    decoders = asyncio.Semaphore(_DECODERS)

    async def decode(address: str, place: Place) -> bytes:
        async with decoders:
            if place.seconds_left <= 0:
                raise office.late()
            return await asyncio.to_thread(understanding.image, address)

    async def image(address: str | None, place: Place) -> bytes | None:
        if address is None:
            return None
        # A thread cannot be stopped, and keeps its decoder until it is done.
        decoding = asyncio.create_task(decode(address, place))
        try:
            return await asyncio.wait_for(asyncio.shield(decoding), place.seconds_left)
        except TimeoutError:
            decoding.add_done_callback(lambda task: task.cancelled() or task.exception())
            raise office.late() from None

    async def write(asked: list[Text], address: str | None) -> list[str]:
        if len(asked) > MOST_ROWS:
            raise RequestError(422, f"{len(asked)} texts are asked for: ask for at most {MOST_ROWS} at a time")
        texts = tuple(understanding.check(text, address is not None) for text in asked)
        with office.place(len(texts)) as place:
            result = await office.result(Job(texts, await image(address, place)), place)
        for text in texts:
            office.metrics.texts.labels(text.task, text.language).inc()
        return result.values

    @router.post("/v1/captions", responses=_RESPONSES, tags=["florenz"])
    async def captions(request: CaptionsRequest) -> CaptionsAnswer:
        """Caption an image in each task and language."""
        understanding.check_name(request.model)
        asked = [
            Text(task, language, prefix=request.prefix)
            for task, language in itertools.product(dict.fromkeys(request.tasks), dict.fromkeys(request.languages))
        ]
        found = [
            Caption(task=text.task, language=text.language, text=value)
            for text, value in zip(asked, await write(asked, request.image), strict=True)
        ]
        return CaptionsAnswer(model=name, captions=found)

    @router.post("/v1/translations", responses=_RESPONSES, tags=["florenz"])
    async def translations(request: TranslationsRequest) -> TranslationsAnswer:
        """Translate an English text into each language, beside an image if there is one."""
        understanding.check_name(request.model)
        asked = [Text("translate", language, request.text) for language in dict.fromkeys(request.languages)]
        found = [
            Translation(language=text.language, text=value)
            for text, value in zip(asked, await write(asked, request.image), strict=True)
        ]
        return TranslationsAnswer(model=name, translations=found)

    @router.post("/v1/scores", responses=_RESPONSES, tags=["florenz"])
    async def scores(request: ScoresRequest) -> ScoresAnswer:
        """Score translations of an English text: the likeliest has the lowest perplexity."""
        understanding.check_name(request.model)
        text = understanding.check(Text("translate", request.language, request.text), request.image is not None)
        understanding.check_candidates(request.candidates)
        with office.place(len(request.candidates)) as place:
            job = Job((text,), await image(request.image, place), tuple(request.candidates))
            result = await office.result(job, place)
        office.metrics.texts.labels("score", text.language).inc(len(request.candidates))
        best = max(result.values)
        return ScoresAnswer(
            model=name,
            scores=[
                CandidateScore(
                    text=candidate,
                    mean_log_probability=value,
                    perplexity=_finite(value),
                    winner=value == best and result.values.count(best) == 1,
                )
                for candidate, value in zip(request.candidates, result.values, strict=True)
            ],
        )

    @router.post("/v1/chat/completions", responses=_RESPONSES | _STREAM, response_model=ChatAnswer, tags=["OpenAI"])
    async def chat(request: ChatRequest) -> Any:
        """Write one text as OpenAI's protocol asks for it, at once or as it grows."""
        words, address = _read_message(request)
        text = understanding.chat(request.model, words, address is not None)
        answer: dict[str, Any] = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": request.model,
        }
        prompt, most = understanding.count_prompt(text), request.max_completion_tokens or request.max_tokens

        def usage(completion: int) -> Usage:
            return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)

        if not request.stream:
            with office.place(1) as place:
                [value] = (await office.result(Job((text,), await image(address, place)), place)).values
            office.metrics.texts.labels(text.task, text.language).inc()
            value, count, is_cut = understanding.cut(value, most)
            choice = Choice(message=AnswerMessage(content=value), finish_reason="length" if is_cut else "stop")
            return ChatAnswer(**answer, choices=[choice], usage=usage(count))
        with office.place(1) as place:
            pieces = office.answers(Job((text,), await image(address, place), is_streamed=True), place)
            first = await anext(pieces)  # a refusal still has its status here

        async def chunks() -> AsyncIterator[str]:
            sent, position = "", 0
            yield _chunk(answer, {"role": "assistant", "content": ""})
            try:
                async for piece in _chain(first, pieces):
                    value = piece.text if isinstance(piece, Growth) else piece.values[0]
                    value, position, is_cut = understanding.cut(value, most)
                    if value.startswith(sent) and value != sent:
                        yield _chunk(answer, {"content": value[len(sent) :]})
                        sent = value
                    if isinstance(piece, Result):
                        yield _chunk(answer, {}, "length" if is_cut else "stop")
            except RequestError as error:
                yield f"data: {json.dumps(error_body(error.status, error.message))}\n\n"
                return
            office.metrics.texts.labels(text.task, text.language).inc()
            if request.stream_options and request.stream_options.include_usage:
                yield _event({**_HEAD, **answer, "choices": [], "usage": usage(position).model_dump()})
            yield "data: [DONE]\n\n"

        return StreamingResponse(chunks(), media_type="text/event-stream")

    @router.get("/v1/models", tags=["OpenAI"], responses={401: _RESPONSES[401]})
    async def models() -> Models:
        """List the names of the model: alone, and with each task and language."""
        return Models(data=[Model(id=one, created=started) for one in understanding.names()])

    @router.get("/v1/models/{model}", tags=["OpenAI"], responses={401: _RESPONSES[401], 404: _UNKNOWN})
    async def model(model: str) -> Model:
        """Look up one name."""
        if model not in understanding.names():
            raise RequestError(404, f"model {model[:80]!r} is not served here: see /v1/models")
        return Model(id=model, created=started)

    @router.get("/health", tags=["operation"], responses={503: {"model": Health, "description": "not ready"}})
    async def health(response: Response) -> Health:
        """Say whether the model answers."""
        ready = is_ready()
        response.status_code = 200 if ready else 503
        return Health(status="ok" if ready else "not ready", model=name)

    @router.get("/metrics", tags=["operation"], response_class=Response, responses=_METRICS)
    async def metrics() -> Response:
        """Count requests, texts, what waits and how long it takes, for Prometheus."""
        return Response(office.metrics.text(), media_type="text/plain; version=0.0.4")

    return router


_HEAD = {"object": "chat.completion.chunk"}
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "the text; with `stream`, server-sent events", "content": {"text/event-stream": {}}}
}
_UNKNOWN = {"model": ErrorAnswer, "description": "no such name"}
_METRICS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {}}}, 401: _RESPONSES[401]}


def _read_message(request: ChatRequest) -> tuple[str, str | None]:
    content = request.messages[0].content
    if isinstance(content, str):
        return content, None
    texts = [part.text for part in content if isinstance(part, TextPart)]
    images = [part.image_url.url for part in content if not isinstance(part, TextPart)]
    if len(texts) > 1 or len(images) > 1:
        raise RequestError(400, f"a message takes one text and one image, this has {len(texts)} and {len(images)}")
    return "".join(texts), images[0] if images else None


async def _chain(first: Growth | Result, rest: AsyncIterator[Growth | Result]) -> AsyncIterator[Growth | Result]:
    yield first
    async for piece in rest:
        yield piece


def _chunk(answer: dict[str, Any], delta: dict[str, Any], finish_reason: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _event({**_HEAD, **answer, "choices": [choice]})


def _event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


def _finite(mean_log_probability: float) -> float | None:
    try:
        perplexity = math.exp(-mean_log_probability)
    except OverflowError:
        return None
    return perplexity if math.isfinite(perplexity) else None
