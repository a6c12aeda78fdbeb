"""The command `florenz export`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from .arguments import at_least_one


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    export = commands.add_parser("export", help="write a model as graphs that ONNX Runtime runs")
    export.add_argument("model", metavar="PATH_OR_REPO", help="Florenz folder or repository, or florenz-tiny")
    export.add_argument("out", type=Path, metavar="OUT", help="the new folder")
    export.add_argument("--revision", help="branch, tag or commit of the repository")
    export.add_argument("--image-size", type=at_least_one, metavar="PX", help="side of the images (default: as saved)")
    export.add_argument("--int8", action="store_true", help="store matrices in 8 bits")
    export.add_argument("--browser", action="store_true", help="write a page that runs the graphs in a browser")
    export.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> int:
    if arguments.browser:
        from ..inference.browser import export_page as write
    else:
        from ..inference.export import export_model as write

    print("florenz: tracing four graphs, which takes a minute for a small model", file=sys.stderr)
    found = write(arguments.model, arguments.out, arguments.revision, arguments.image_size, arguments.int8)
    print(f"{found.equal} of {found.compared} texts have the same ids as those of the model")
    print(found.folder)
    return 0
