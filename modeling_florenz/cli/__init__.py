"""`florenz` on the command line, one file per command.

Exit codes: 0 done, 1 some inputs failed, 2 nothing could be done as asked, 130 stopped by Ctrl-C.
"""

# Little is imported here: until `__main__` runs, Ctrl-C ends Python with a traceback.
from __future__ import annotations

from typing import TYPE_CHECKING


if TYPE_CHECKING:
    import argparse


WELCOME = """Florenz: captions of images, and translations that look at the image.

  florenz caption photo.jpg --language de    write a caption
  florenz show photo.jpg                     see its words light their places
  florenz space                              try everything in the browser

florenz --help lists all commands, florenz doctor checks the installation."""


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands; a parsed command has the function to `run`."""
    from .. import __version__
    from . import (
        benchmark,
        build,
        caption,
        card,
        completion,
        convert,
        dataset,
        doctor,
        evaluate,
        export,
        inspect,
        pull,
        push,
        scaling,
        score,
        serve,
        show,
        space,
        synthesize,
        train,
        translate,
    )
    from .arguments import Parser, WideHelp

    modules = (
        caption,
        translate,
        score,
        show,
        train,
        evaluate,
        build,
        convert,
        export,
        inspect,
        push,
        pull,
        card,
        dataset,
        scaling,
        synthesize,
        space,
        serve,
        benchmark,
        doctor,
        completion,
    )
    parser = Parser(
        prog="florenz",
        description="Image captions and image-aware translation in six languages.",
        formatter_class=WideHelp,
    )
    parser.add_argument("--version", action="version", version=f"florenz {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", parser_class=Parser, metavar="COMMAND")
    parser.set_defaults(run=_welcome, verbose=False)
    for module in modules:
        module.add_commands(commands)
    for command_parser in commands.choices.values():
        command_parser.add_argument("--verbose", action="store_true", help="also show what the libraries have to say")
    return parser


def _welcome(arguments: argparse.Namespace) -> int:
    print(WELCOME)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run a command; return the exit code."""
    from .terminal import run_command

    return run_command(build_parser(), argv)
