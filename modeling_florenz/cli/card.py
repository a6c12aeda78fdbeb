"""The command `florenz card`."""

import argparse
from pathlib import Path
from typing import Any


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    card = commands.add_parser("card", help="render the published cards, or put one into a folder")
    card.add_argument("name", nargs="?", metavar="NAME", help="of a published model or dataset, such as florenz-3.5b")
    card.add_argument("target", nargs="?", type=Path, metavar="FOLDER", help="its folder, to put the card into")
    card.add_argument("--folder", type=Path, help="of templates, facts, results (default: hub_cards of this clone)")
    card.add_argument("--check", action="store_true", help="write nothing; fail if a rendered card is out of date")
    card.set_defaults(run=_card)


def _card(arguments: argparse.Namespace) -> int:
    from ..card_template import find_cards
    from ..publishing.companion_files import write_papers

    folder = arguments.folder or find_cards()
    if arguments.name is not None:
        if arguments.target is None:
            raise ValueError(f"florenz card {arguments.name} needs a folder: name the one to put the card into")
        written = write_papers(folder, arguments.name, arguments.target)
    else:
        from ..publishing.published import check_cards, write_cards

        if arguments.check:
            check_cards(folder)
            return 0
        written = write_cards(folder)
    for path in written:
        print(path)
    return 0
