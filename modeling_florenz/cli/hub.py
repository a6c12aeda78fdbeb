"""The commands `florenz push` and `florenz pull`."""

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any


def add_commands(commands: Any) -> None:
    """Add both commands to the parser of `florenz`."""
    push = commands.add_parser("push", help="check a folder and publish it on the Hub, in one commit")
    push.add_argument("folder", type=Path, metavar="FOLDER", help="of a model, an adapter or a dataset")
    push.add_argument("repo", metavar="OWNER/NAME")
    push.add_argument("--private", action="store_true", help="only its owner may see it")
    push.add_argument("--revision", help="branch to push to (default: main)")
    push.add_argument("--dry-run", action="store_true", help="list what would go, and what is wrong with it")
    push.set_defaults(run=_push)

    pull = commands.add_parser("pull", help="fetch a model, an adapter or a dataset from the Hub into a folder")
    pull.add_argument("repo", metavar="OWNER/NAME")
    pull.add_argument("folder", type=Path, metavar="FOLDER")
    pull.add_argument("--revision", help="branch, tag or commit")
    pull.set_defaults(run=_pull)


def _push(arguments: argparse.Namespace) -> int:
    from ..publishing.push import check_folder, describe, listing, push

    if not arguments.folder.is_dir():
        raise ValueError(f"{arguments.folder} is no folder: give the one to publish")
    if arguments.repo.count("/") != 1 or not all(arguments.repo.split("/")):
        raise ValueError(f"{arguments.repo!r} is no name of a repository: write OWNER/NAME")
    findings = check_folder(arguments.folder)
    if arguments.dry_run:
        for name, size in listing(arguments.folder):
            print(f"{size:>14,}  {name}")
    for finding in findings:
        print(f"florenz: {finding}", file=sys.stderr)
    if findings or arguments.dry_run:
        return 2 if findings else 0
    commit = push(arguments.folder, arguments.repo, arguments.private, arguments.revision)
    print(describe(arguments.folder, arguments.repo, commit))
    return 0


def _pull(arguments: argparse.Namespace) -> int:
    from huggingface_hub import HfApi, snapshot_download

    folder: Path = arguments.folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is not empty: remove it or give another name")
    # What is there goes on where a broken pull ended, and has its name only when whole.
    source = "--".join([*arguments.repo.split("/"), *(arguments.revision or "main").split("/")])
    partial = folder.with_name(f"{folder.name}.{source}.partial")
    try:
        kind = "model" if HfApi().repo_exists(arguments.repo) else "dataset"
        snapshot_download(arguments.repo, repo_type=kind, revision=arguments.revision, local_dir=partial)
    except Exception as error:  # what the client raises depends on what it is built on
        raise ValueError(f"{arguments.repo} could not be fetched: {str(error).splitlines()[0]}") from None
    shutil.rmtree(partial / ".cache", ignore_errors=True)  # the client's notes on what is done
    if folder.exists():
        folder.rmdir()
    partial.rename(folder)
    print(folder)
    return 0
