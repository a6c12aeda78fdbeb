"""The command `florenz serve`."""

import argparse
import os
import signal
import sys
from functools import partial
from pathlib import PurePath
from typing import Any

from .arguments import add_beams, add_guidance, add_weights, at_least_one, captioner_settings
from .exit_codes import DONE, STOPPED
from .lines import one_line
from .terminal import quiet_libraries


TOKEN = "FLORENZ_TOKEN"  # of the environment: what stands on a command line, everybody on the machine can read


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    serve = commands.add_parser("serve", help="serve a model to programs, by OpenAI's protocol and a plain one")
    add_weights(serve)
    add_guidance(serve)
    add_beams(serve)
    serve.add_argument("--name", help="that requests call the model by (default: the last part of its path)")
    serve.add_argument(
        "--host",
        default="127.0.0.1",
        choices=("127.0.0.1", "0.0.0.0", "::"),
        help="address to listen at (default: 127.0.0.1, this machine alone)",
    )
    serve.add_argument("--port", type=int, default=8000, help="port to listen at (default: 8000)")
    serve.add_argument(
        "--batch-wait", type=_positive, default=50, metavar="MS", help="wait for others to share a batch (default: 50)"
    )
    serve.add_argument(
        "--max-waiting", type=at_least_one, default=256, metavar="TEXTS", help="that may wait (default: 256)"
    )
    serve.add_argument(
        "--timeout", type=_positive, default=60, metavar="SECONDS", help="for a request and its answer (default: 60)"
    )
    serve.add_argument("--max-body", type=_positive, default=20, metavar="MB", help="of a request (default: 20)")
    serve.add_argument("--max-pixels", type=_positive, default=50, metavar="MEGAPIXELS", help="(default: 50)")
    serve.set_defaults(run=_serve)


def _positive(value: str) -> float:
    number = float(value)
    if not 0 < number < 1e6:
        raise ValueError
    return number


_positive.__name__ = "number above 0"  # argparse names it in its sentence


def _serve(arguments: argparse.Namespace) -> int:
    from ..inference.serving.server import ServeOptions, serve

    source = arguments.adapter or arguments.model or "florenz-tiny"
    options = ServeOptions(
        model=captioner_settings(arguments),
        name=arguments.name or PurePath(source).name.lower(),
        host=arguments.host,
        port=arguments.port,
        token=os.environ.get(TOKEN) or None,
        num_beams=arguments.beams,
        batch_wait=arguments.batch_wait / 1000,
        most_waiting=arguments.max_waiting,
        seconds=arguments.timeout,
        body_megabytes=arguments.max_body,
        megapixels=arguments.max_pixels,
        while_loading=partial(quiet_libraries, arguments.verbose),
    )
    host = f"[{options.host}]" if ":" in options.host else options.host
    place = f"http://{host}:{options.port}"
    print(
        f"florenz: {one_line(options.name)} is at {place} once it is loaded, described at {place}/docs",
        file=sys.stderr,
    )
    return STOPPED if serve(options) == signal.SIGINT else DONE
