"""The command `florenz doctor`."""

import argparse
import shutil
import sys
import textwrap
from typing import Any

from .exit_codes import DONE, SOME_FAILED
from .lines import one_line, paint, print_line


_COLOURS = {"fine": "green", "missing": "yellow", "wrong": "red"}
_MARKS = {"fine": "ok", "missing": "--", "wrong": "!!"}


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    doctor = commands.add_parser(
        "doctor",
        help="check the installation; issues ask for what this prints",
        description="Print versions, extras, device, memory and model cache; test captions for ten seconds at most. "
        "ok: fine; --: not there, and needed only for some commands; !!: to be put right.",
    )
    doctor.set_defaults(run=_doctor)


def _doctor(arguments: argparse.Namespace) -> int:
    from ..inference.doctor import examine

    subject, wrong = "", 0
    for finding in examine():
        heading = "" if finding.subject == subject else finding.subject
        subject = finding.subject
        wrong += finding.state == "wrong"
        mark = paint(_MARKS[finding.state], _COLOURS[finding.state], sys.stdout)
        text = f"\n{'':<16}".join(_wrapped(one_line(finding.text)))
        print_line(f"{heading:<12} {mark} {text}", sys.stdout)
    return SOME_FAILED if wrong else DONE


def _wrapped(text: str) -> list[str]:
    """Break a text for the terminal; in a pipe, a finding is a line."""
    if not sys.stdout.isatty():
        return [text]
    width = max(shutil.get_terminal_size().columns - 16, 24)
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
