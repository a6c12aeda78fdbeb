"""The command `florenz translate`."""

import argparse
from typing import Any

from .arguments import add_beams, add_model, load_captioner, print_record


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    translate = commands.add_parser("translate", help="translate English beside an image")
    add_model(translate)
    add_beams(translate)
    translate.add_argument("image", metavar="IMAGE")
    translate.add_argument("--text", required=True, help="the English text")
    translate.add_argument("--language", required=True, help="ISO 639-1 code")
    translate.set_defaults(run=_translate)


def _translate(arguments: argparse.Namespace) -> int:
    captioner = load_captioner(arguments)
    [text] = captioner.translate([arguments.image], [arguments.text], arguments.language, arguments.beams)
    record = {"image": arguments.image, "language": arguments.language, "source": arguments.text, "text": text}
    print_record(arguments, record, text)
    return 0
