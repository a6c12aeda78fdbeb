"""The command `florenz space`: serve the Space on this machine."""

import argparse
import os
import runpy
import sys
from pathlib import Path
from typing import Any


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    space = commands.add_parser("space", help="serve captions and translations in the browser")
    space.add_argument("--model", metavar="PATH_OR_REPO", help="Florenz folder or repository (default: florenz-tiny)")
    space.add_argument("--revision", help="branch, tag or commit of the repository")
    space.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1, this machine)")
    space.add_argument("--port", type=int, help="port to listen at (default: the first free one from 7860 on)")
    space.set_defaults(run=_space)


def find_app() -> Path:
    """Find the Space's `app.py`: inside an installed package, or beside the package in a clone.

    Raises:
        ValueError: there is none.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "space_app", package.parent / "space"):
        if (folder / "app.py").is_file():
            return folder / "app.py"
    raise ValueError("this installation holds no Space: install modeling-florenz from a wheel or a clone")


def _space(arguments: argparse.Namespace) -> int:
    if arguments.port is not None and not 1 <= arguments.port <= 65535:
        raise ValueError(f"the port is {arguments.port}: use 1 to 65535")
    given = {
        "FLORENZ_MODEL": arguments.model,
        "FLORENZ_REVISION": arguments.revision,
        "GRADIO_SERVER_NAME": arguments.host,
        "GRADIO_SERVER_PORT": None if arguments.port is None else str(arguments.port),
    }
    os.environ |= {name: value for name, value in given.items() if value is not None}
    app = find_app()
    # As the Hub starts it, with its folder first on the path, for its modules have short names; and in this process,
    # so that nothing is left behind when it ends.
    sys.path.insert(0, str(app.parent))
    runpy.run_path(str(app), run_name="__main__")
    return 0
