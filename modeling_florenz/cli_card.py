"""The command `florenz card`: render the cards of the published models and check them."""

import argparse
from pathlib import Path
from typing import Any


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    card = commands.add_parser("card", help="render the cards of all sizes from facts and results, and check them")
    card.add_argument("--folder", type=Path, default=Path("hub_cards"), help="of templates, facts, results")
    card.add_argument("--check", action="store_true", help="write nothing; fail if a rendered card is out of date")
    card.set_defaults(run=_card)


def _card(arguments: argparse.Namespace) -> int:
    from .cards import check_card, render_all

    stale = []
    for name, text in render_all(arguments.folder).items():
        check_card(text)
        path = arguments.folder / "rendered" / name
        if arguments.check and (not path.is_file() or path.read_text(encoding="utf-8") != text):
            stale.append(name)
        elif not arguments.check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(path)
    if stale:
        raise ValueError(f"{', '.join(stale)} do not equal their sources: run florenz card")
    return 0
