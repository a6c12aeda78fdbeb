"""Serve a model: HTTP in one process, the model in another, and an end that loses nothing."""

import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from types import FrameType
from typing import Any

import litserve
import torch
from fastapi.exceptions import RequestValidationError
from litserve.callbacks import Callback
from litserve.utils import WorkerSetupStatus
from starlette.exceptions import HTTPException

from ... import __version__
from ...checkpoint.loading import load_processor
from ...parent_process import end_forks_with_this_process
from ..arenas import limit_arenas
from .asking import Understanding
from .endpoints import build_router
from .failures import RequestError, answer_http_error, answer_invalid, answer_refusal
from .gate import Bounds, Gate
from .metrics import Metrics
from .office import Office
from .schema import MOST_ROWS
from .worker import STOP, BatchLoop, FlorenzAPI


HOSTS = ("127.0.0.1", "0.0.0.0", "::")  # those of LitServe
MEGABYTE, MEGAPIXEL = 2**20, 10**6


@dataclass(frozen=True)
class ServeOptions:
    """Say what is served and within which bounds.

    Args:
        model: arguments of the `Captioner`, without its device.
        name: that requests call it by.
        host, port: to listen at.
        token: that requests must bear; none is asked for if None.
        num_beams: of the searches whose texts are not streamed.
        batch_wait: seconds that a job waits for others.
        most_waiting: texts that may wait.
        seconds: that an answer may take, and that a client may take to send its request.
        body_megabytes, megapixels: of one request and of its image.
        while_loading: what the model is loaded within, in a process of its own.
    """

    model: dict[str, Any]
    name: str
    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    num_beams: int = 4
    batch_wait: float = 0.05
    most_waiting: int = 256
    seconds: float = 60.0
    body_megabytes: float = 20.0
    megapixels: float = 50.0
    while_loading: Callable[[], AbstractContextManager] = nullcontext


def serve(options: ServeOptions) -> int:
    """Serve until a signal comes, and then answer all that was accepted.

    Returns:
        the number of the signal.

    Raises:
        ValueError: the model cannot be loaded, something else listens at the port, or one of the processes died.
    """
    check_free(options.host, options.port)
    processor = load_processor(options.model["model"], options.model["revision"], options.model["adapter"])
    metrics = Metrics()
    office = Office(options.most_waiting, options.seconds, metrics)
    understanding = Understanding(options.name, processor, int(options.megapixels * MEGAPIXEL))
    server = build_server(options, office, understanding)
    received = _stop_on_signals(server)
    end_forks_with_this_process()
    limit_arenas(give_back=True)
    with suppress(EOFError, ConnectionError):  # of what holds the queue, if that died
        server.run(
            options.host,
            options.port,
            num_api_servers=1,
            log_level="error",
            generate_client_file=False,
            access_log=False,
        )
    if not received:
        raise ValueError(
            "a process of the server died, so nothing is served any longer: start it again, with more memory if that "
            "was short"
        )
    return received[0]


def build_server(options: ServeOptions, office: Office, understanding: Understanding) -> litserve.LitServer:
    """Build a server that is not running yet."""
    api = FlorenzAPI(
        options.model,
        options.num_beams,
        options.while_loading,
        max_batch_size=MOST_ROWS,
        batch_timeout=options.batch_wait,
        loop=BatchLoop(),
        spec=office,
    )
    paths: set[str] = set()
    gate = {
        "bounds": Bounds(int(options.body_megabytes * MEGABYTE), options.seconds),
        "token": options.token,
        "metrics": office.metrics,
        "paths": paths,
    }
    server = _Server(
        api,
        # The captioner runs on nothing else.
        accelerator="cuda" if torch.cuda.is_available() else "cpu",
        timeout=False,
        middlewares=[(Gate, gate)],
        callbacks=[_LastJob()],
    )
    server.uvicorn_graceful_timeout = int(options.seconds) + 5
    app = server.app
    app.title, app.version = "Florenz", __version__
    app.description = "Image captions and image-aware translation in several languages."
    # In the place of LitServe's own, which say less.
    app.router.routes[:] = [
        route for route in app.routes if getattr(route, "path", "") not in ("/", "/health", "/info")
    ]

    def is_ready() -> bool:
        return all(status == WorkerSetupStatus.READY for status in server.workers_setup_status.values())

    app.include_router(build_router(understanding, office, is_ready))
    paths.update(app.openapi()["paths"])
    app.add_exception_handler(RequestError, answer_refusal)
    app.add_exception_handler(RequestValidationError, answer_invalid)
    app.add_exception_handler(HTTPException, answer_http_error)
    return server


def check_free(host: str, port: int) -> None:
    """Check that a server can listen there.

    Raises:
        ValueError: something else does already, or the port may not be used.
    """
    if not 1024 <= port <= 65535:
        raise ValueError(f"the port is {port}: use 1024 to 65535")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ValueError(f"cannot listen at {host}, port {port}: {error.strerror}; use another --port") from None


class _Server(litserve.LitServer):
    """Ends as soon as one of its processes has died."""

    def _start_worker_monitoring(self, manager: Any, uvicorn_workers: dict[int, Any]) -> None:
        # In the place of LitServe's own, which does not look at the process with HTTP and fails once it has ended.
        processes = (*self.inference_workers, *uvicorn_workers.values())

        def end() -> None:
            wait([process.sentinel for process in processes])
            with suppress(EOFError, OSError):  # it is ending
                self.uvicorn_graceful_timeout = 2  # nobody answers any longer
                self._shutdown_event.set()

        threading.Thread(target=end, daemon=True).start()


class _LastJob(Callback):
    """Tell the processes with the model that there are no more jobs, once the one with HTTP has answered all."""

    def on_server_end(self, litserver: litserve.LitServer) -> None:
        for _ in litserver.devices:
            litserver.lit_api.spec.request_queue.put(STOP)


def _stop_on_signals(server: litserve.LitServer) -> list[int]:
    """End the server in order when a signal comes; return where its number will be."""
    received: list[int] = []
    own = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        # LitServe's manager inherits this and goes on: it holds the queue, and signals come to whole groups.
        if os.getpid() != own or received:
            return
        received.append(number)
        threading.Thread(target=_end, args=(server,), daemon=True).start()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return received


def _end(server: litserve.LitServer) -> None:
    server._shutdown_event.set()
