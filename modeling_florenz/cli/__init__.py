"""`florenz` on the command line, one file a command.

Exit codes: 0 done, 1 some inputs failed, 2 nothing could be done as asked, 130 stopped by Ctrl-C.
"""

import argparse
from typing import NoReturn

from .. import __version__
from . import (
    build,
    caption,
    card,
    convert,
    dataset,
    evaluate,
    inspect,
    pull,
    push,
    score,
    space,
    train,
    translate,
)
from .terminal import run_command


COMMANDS = (caption, translate, score, train, evaluate, build, convert, inspect, push, pull, card, dataset, space)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # One sentence; the usage is one --help away.
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands; a parsed command has the function to `run`."""
    parser = _Parser(prog="florenz", description="Image captions and image-aware translation in six languages.")
    parser.add_argument("--version", action="version", version=f"florenz {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser, metavar="COMMAND")
    for command in COMMANDS:
        command.add_commands(commands)
    for command_parser in commands.choices.values():
        command_parser.add_argument("--verbose", action="store_true", help="also show what the libraries have to say")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run a command; return the exit code."""
    return run_command(build_parser(), argv)
