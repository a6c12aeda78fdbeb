"""The server keeps its bounds: of the line, of time, of its port, and of a batch, where a failure fails no other."""

import asyncio
import base64
import io
import queue
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from PIL import Image
from served_model import serve_in_threads

from modeling_florenz import Captioner
from modeling_florenz.inference.serving.asking import Understanding
from modeling_florenz.inference.serving.failures import RequestError, error_response
from modeling_florenz.inference.serving.gate import Bounds, Gate
from modeling_florenz.inference.serving.jobs import Failure, Job, Result, Text
from modeling_florenz.inference.serving.metrics import Metrics
from modeling_florenz.inference.serving.office import Office
from modeling_florenz.inference.serving.server import check_free
from modeling_florenz.inference.serving.worker import STOP, BatchLoop


def test_what_waits_is_bounded_and_the_rest_is_told_when_to_come_back():
    async def crowd() -> RequestError:
        office = Office(2, 0.05, Metrics())
        office.request_queue, office.response_buffer, office.response_queue_id = queue.Queue(), {}, 0
        job = Job((Text("caption", "en"), Text("caption", "de")))

        async def ask() -> None:
            with office.place(job.rows) as place:
                await office.result(job, place)

        waiting = asyncio.create_task(ask())
        await asyncio.sleep(0.01)
        with pytest.raises(RequestError) as refused:
            await ask()
        with pytest.raises(RequestError, match="no answer within") as late:
            await waiting
        assert late.value.status == 504
        return refused.value

    error = asyncio.run(crowd())
    assert error.status == 429
    assert int(error_response(error).headers["Retry-After"]) >= 1


class Model:
    """Answer the languages of jobs, but for one that it cannot bear."""

    max_batch_size, batch_timeout = 16, 0.01

    def __init__(self) -> None:
        self.batches: list[int] = []

    def predict(self, jobs, send) -> None:
        self.batches.append(len(jobs))
        if any(job.texts[0].language == "xx" for job in jobs):
            raise RuntimeError("no memory")
        for number, job in enumerate(jobs):
            send(number, Result([job.texts[0].language], len(jobs), 0.1))


class Answers(dict):
    def send(self, item, consumer_id) -> None:
        self[item[0]] = item[1][0]


def run_batches(languages: list[str], deadline: float) -> tuple[Model, Answers]:
    jobs, model, answers = queue.Queue(), Model(), Answers()
    for number, language in enumerate(languages):
        jobs.put((0, number, 0.0, Job((Text("caption", language),), deadline=deadline)))
    jobs.put(STOP)
    BatchLoop()(model, "cpu", 0, jobs, answers, {}, None)
    return model, answers


def test_what_waits_is_answered_in_batches_of_sixteen():
    model, answers = run_batches(["en", "de"] * 20, time.monotonic() + 60)
    assert model.batches == [16, 16, 8]
    assert [answers[number].values for number in range(40)] == [["en"], ["de"]] * 20


def test_a_job_that_fails_fails_no_other():
    _, answers = run_batches(["en", "xx", "de"], time.monotonic() + 60)
    assert [type(answers[number]) for number in range(3)] == [Result, Failure, Result]


def test_nobody_is_answered_too_late():
    model, answers = run_batches(["en"], time.monotonic() - 1)
    assert model.batches == [] and isinstance(answers[0], Failure)


def test_a_second_server_at_a_port_is_refused():
    with socket.socket() as first:
        first.bind(("127.0.0.1", 0))
        first.listen()
        port = first.getsockname()[1]
        with pytest.raises(ValueError, match=f"cannot listen at 127.0.0.1, port {port}: .*; use another --port"):
            check_free("127.0.0.1", port)
    with pytest.raises(ValueError, match="1024 to 65535"):
        check_free("127.0.0.1", 80)


def test_a_client_that_sends_too_slowly_is_told():
    with serve_in_threads(Captioner(), seconds=0.3) as address, socket.socket() as slow:
        slow.connect(("127.0.0.1", int(address.rpartition(":")[2])))
        slow.sendall(b"POST /v1/captions HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
        assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")


def png() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def decode_slowly(monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[str]:
    whole, decoded = Understanding.image, []

    def image(self: Understanding, address: str) -> bytes:
        decoded.append(address)
        time.sleep(seconds)
        return whole(self, address)

    monkeypatch.setattr(Understanding, "image", image)
    return decoded


def test_images_that_are_decoded_count_as_waiting(monkeypatch: pytest.MonkeyPatch):
    decoded = decode_slowly(monkeypatch, 1)
    with serve_in_threads(Captioner(), most_waiting=2) as address, ThreadPoolExecutor(8) as clients:
        ask = lambda _: httpx.post(f"{address}/v1/captions", json={"image": png(), "languages": ["en"]}, timeout=60)  # noqa: E731
        found = list(clients.map(ask, range(8)))
    assert sorted(answer.status_code for answer in found) == [200] * 2 + [429] * 6
    assert len(decoded) == 2
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in found if answer.status_code == 429)


def test_the_time_for_an_answer_begins_before_an_image_is_decoded(monkeypatch: pytest.MonkeyPatch):
    decoded = decode_slowly(monkeypatch, 2)
    with serve_in_threads(Captioner(), seconds=0.5) as address, ThreadPoolExecutor(4) as clients:
        started = time.monotonic()
        ask = lambda _: httpx.post(f"{address}/v1/captions", json={"image": png(), "languages": ["en"]}, timeout=60)  # noqa: E731
        assert [answer.status_code for answer in clients.map(ask, range(4))] == [504] * 4
        assert time.monotonic() - started < 2
        time.sleep(2)
        assert len(decoded) == 2  # for the others it was too late


def test_bodies_that_wait_together_are_bounded():
    release, answered = asyncio.Event(), []

    async def app(scope, receive, send) -> None:
        await receive()
        await release.wait()
        answered.append(scope["number"])

    async def ask(gate: Gate, number: int) -> int:
        parts, statuses = [b"x" * 60, b"x" * 40], [0]

        async def receive() -> dict:
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        async def send(message: dict) -> None:
            statuses.append(message.get("status", statuses[-1]))

        scope = {"type": "http", "path": "/", "headers": [], "method": "POST", "number": number}
        await gate(scope, receive, send)
        return statuses[-1]

    async def crowd() -> None:
        gate = Gate(app, Bounds(100, 60), None, Metrics(), frozenset())
        held = [asyncio.create_task(ask(gate, number)) for number in range(8)]
        await asyncio.sleep(0.01)
        assert await ask(gate, 8) == 429
        release.set()
        await asyncio.gather(*held)
        assert await ask(gate, 9) == 0  # the app answered it
        assert answered == [0, 1, 2, 3, 4, 5, 6, 7, 9]

    asyncio.run(crowd())
