"""Serve the app until somebody stops it, and leave with the exit code that shells know."""

import errno
import os
import signal
import socket
import sys
import time
from typing import Any, NoReturn

import gradio as gr
from door import Door
from guard import RequestLimits
from limits import MAX_FILE_BYTES, SESSIONS
from starlette.middleware import Middleware
from style import CSS, STYLE_SHEET, THEME
from sweeping import lifespan


STOPPED, TERMINATED = 130, 143


class Stopped(Exception):
    """Tells the exit code of a server that was asked to stop."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def check_address() -> None:
    """Ask whether GRADIO_SERVER_NAME and GRADIO_SERVER_PORT can be listened at, before a model is loaded.

    Raises:
        ValueError: the port is taken, or the address is not one of this machine.
    """
    host = os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    port = os.environ.get("GRADIO_SERVER_PORT", "0")
    try:
        socket.create_server((host, int(port))).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ValueError(f"port {port} is taken: give another one") from None
        raise ValueError(f"the Space cannot listen at {host}, port {port}: {error.strerror}") from None


def serve(demo: gr.Blocks) -> NoReturn:
    """Serve until SIGINT or SIGTERM.

    Raises:
        Stopped: always, in the end.
        ValueError: there is no free port.
    """
    signal.signal(signal.SIGTERM, _stop)
    try:
        _, address, _ = demo.launch(
            theme=THEME,
            css=CSS,
            css_paths=STYLE_SHEET,
            max_file_size=MAX_FILE_BYTES,
            state_session_capacity=SESSIONS,
            app_kwargs={"middleware": [Middleware(Door), Middleware(RequestLimits)], "lifespan": lifespan(demo)},
            ssr_mode=False,
            share=False,
            run_history=False,
            enable_monitoring=False,
            footer_links=["api", "settings"],
            prevent_thread_lock=True,
            quiet=True,
        )
        print(f"The Space is at {address}", flush=True)
        while True:
            time.sleep(1)  # a signal that another thread is given does not end this
    except OSError as error:
        raise ValueError(f"the Space cannot be served: {error}") from None
    except KeyboardInterrupt:
        raise Stopped(STOPPED) from None


def leave(code: int) -> NoReturn:
    """End the process at once: Python cannot shut down in order while a thread of the server computes."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _stop(*signal_and_frame: Any) -> NoReturn:
    raise Stopped(TERMINATED)
