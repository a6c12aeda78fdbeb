"""Serve the app until somebody stops it, and leave with the exit code that shells know."""

import os
import signal
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


class _Terminated(Exception):
    """Ends a server that was asked to stop."""


def serve(demo: gr.Blocks, port: int) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code that shells know.

    Raises:
        ValueError: the port is not free.
    """
    signal.signal(signal.SIGTERM, _stop)
    try:
        _, address, _ = demo.launch(
            server_port=port,
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
            footer_links=["api"],
            prevent_thread_lock=True,
            quiet=True,
        )
        print(f"The Space is at {address}", flush=True)
        while True:
            time.sleep(1)  # a signal that another thread is given does not end this
    except OSError as error:
        raise ValueError(f"the Space cannot be served: {error}") from None
    except KeyboardInterrupt:
        return STOPPED
    except _Terminated:
        return TERMINATED


def leave(code: int) -> NoReturn:
    """End the process at once: Python cannot shut down in order while a thread of the server computes."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _stop(*signal_and_frame: Any) -> NoReturn:
    raise _Terminated
