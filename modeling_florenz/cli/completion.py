"""The command `florenz completion`."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any


SHELLS = ("bash", "zsh", "fish")
ABOUT = """Print a script that makes a shell complete commands, options and files.

  bash   source <(florenz completion bash)
  zsh    florenz completion zsh > "${fpath[1]}/_florenz"
  fish   florenz completion fish > ~/.config/fish/completions/florenz.fish

The line for bash belongs in ~/.bashrc; the others are needed once."""
# What is completed by the names of files or folders, besides what is read as a path.
_FILES = ("IMAGE", "RECIPE")
_FOLDERS = ("FOLDER", "MODEL", "OUT", "PATH_OR_REPO", "SRC")


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    completion = commands.add_parser(
        "completion",
        help="make bash, zsh or fish complete commands and options",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    completion.add_argument("shell", choices=SHELLS, help="the shell that is to read it")
    completion.set_defaults(run=_completion)


def _completion(arguments: argparse.Namespace) -> int:
    import shtab

    from . import build_parser

    parser = build_parser()
    for action in _actions(parser):
        if action.metavar in _FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.metavar in _FILES or action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(parser, shell=arguments.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
        else:
            yield action
