"""Serve the bundled model from threads of this process: the real server but for the processes around it."""

import asyncio
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from modeling_florenz import Captioner
from modeling_florenz.inference.serving.asking import Understanding
from modeling_florenz.inference.serving.metrics import Metrics
from modeling_florenz.inference.serving.office import Office
from modeling_florenz.inference.serving.server import ServeOptions, build_server
from modeling_florenz.inference.serving.worker import STOP


NOTHING = {"model": None, "revision": None, "adapter": None}


class Threads:
    """Carry answers from the thread with the model to the one with HTTP, as LitServe's transports do."""

    def __init__(self) -> None:
        self._answers: queue.Queue = queue.Queue()

    def send(self, item: Any, consumer_id: int) -> None:
        self._answers.put(item)

    async def areceive(self, consumer_id: int) -> Any:
        try:
            return await asyncio.to_thread(self._answers.get, timeout=0.2)
        except queue.Empty:
            return None


@contextmanager
def serve_in_threads(captioner: Captioner, **options: Any) -> Iterator[str]:
    """Serve a model; give the address."""
    settings = ServeOptions(NOTHING, "florenz-tiny", **options)
    office = Office(settings.most_waiting, settings.seconds, Metrics())
    pixels = int(settings.megapixels * 10**6)
    server = build_server(settings, office, Understanding("florenz-tiny", captioner.processor, pixels))
    server._transport, server.workers_setup_status = Threads(), {}
    server.litapi_request_queues["/jobs"] = jobs = queue.Queue()
    server.app.response_queue_id = office.response_queue_id = 0
    office.setup(server)
    api = server.lit_api
    api._captioner = captioner
    worker = threading.Thread(target=api.loop, args=(api, "cpu", 0, jobs, server._transport, {}, None))
    worker.start()
    http = uvicorn.Server(uvicorn.Config(server.app, port=0, log_level="error"))
    thread = threading.Thread(target=http.run)
    thread.start()
    while not http.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{http.servers[0].sockets[0].getsockname()[1]}"
    finally:
        http.should_exit = True
        thread.join()
        jobs.put(STOP)
        worker.join()
