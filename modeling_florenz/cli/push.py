"""The command `florenz push`."""

import argparse
import sys
from pathlib import Path
from typing import Any


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    push = commands.add_parser("push", help="check a folder and publish it on the Hub, in one commit")
    push.add_argument("folder", type=Path, metavar="FOLDER", help="of a model, an adapter or a dataset")
    push.add_argument("repo", metavar="OWNER/NAME")
    push.add_argument("--private", action="store_true", help="only its owner may see it")
    push.add_argument("--revision", help="branch to push to (default: main)")
    push.add_argument("--retag", action="store_true", help="move the version's tag if it is at an older commit")
    push.add_argument("--dry-run", action="store_true", help="list what would go, and what is wrong with it")
    push.set_defaults(run=_push)


def _push(arguments: argparse.Namespace) -> int:
    from ..publishing.checks import check_folder
    from ..publishing.push import describe, listing, push

    if not arguments.folder.is_dir():
        raise ValueError(f"{arguments.folder} is not a folder: give the one to publish")
    if arguments.repo.count("/") != 1 or not all(arguments.repo.split("/")):
        raise ValueError(f"{arguments.repo!r} is not the name of a repository: write OWNER/NAME")
    findings = check_folder(arguments.folder)
    if arguments.dry_run:
        for name, size in listing(arguments.folder):
            print(f"{size:>14,}  {name}")
    for finding in findings:
        print(f"florenz: {finding}", file=sys.stderr)
    if findings or arguments.dry_run:
        return 2 if findings else 0
    pushed = push(arguments.folder, arguments.repo, arguments.private, arguments.revision, arguments.retag)
    for note in pushed.notes:
        print(f"florenz: {note}", file=sys.stderr)
    print(describe(arguments.folder, arguments.repo, pushed.commit))
    return 0
