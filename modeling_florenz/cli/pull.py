"""The command `florenz pull`."""

import argparse
from pathlib import Path
from typing import Any


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    pull = commands.add_parser("pull", help="fetch a model, an adapter or a dataset from the Hub")
    pull.add_argument("repo", metavar="OWNER/NAME")
    pull.add_argument("folder", type=Path, metavar="FOLDER")
    pull.add_argument("--revision", help="branch, tag or commit")
    pull.set_defaults(run=_pull)


def _pull(arguments: argparse.Namespace) -> int:
    from ..publishing.pull import pull

    print(pull(arguments.repo, arguments.folder, arguments.revision))
    return 0
