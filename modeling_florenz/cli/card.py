"""The command `florenz card`: render the published cards and check them, or put one beside its weights."""

import argparse
from pathlib import Path
from typing import Any


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    card = commands.add_parser(
        "card", help="render the published cards from facts and results; or put one, with licences, into a folder"
    )
    card.add_argument("name", nargs="?", metavar="NAME", help="of a published model or dataset, such as florenz-3.5b")
    card.add_argument("target", nargs="?", type=Path, metavar="FOLDER", help="its folder, to put the card into")
    card.add_argument("--folder", type=Path, help="of templates, facts, results (default: hub_cards of this clone)")
    card.add_argument("--check", action="store_true", help="write nothing; fail if a rendered card is out of date")
    card.set_defaults(run=_card)


def _card(arguments: argparse.Namespace) -> int:
    from ..card_template import find_cards
    from ..checkpoint.loading import BUNDLED_MODEL, BUNDLED_NAME
    from ..publishing.companion_files import write_papers

    folder = arguments.folder or find_cards()
    if arguments.name is not None:
        if arguments.target is None:
            raise ValueError(f"florenz card {arguments.name} needs a folder: name the one to put the card into")
        for path in write_papers(folder, arguments.name, arguments.target):
            print(path)
        return 0
    try:
        from ..publishing.published import render_all
    except ImportError as error:
        raise ValueError(f"rendering needs {error.name}: pip install 'modeling-florenz[train]'") from error
    stale = []
    for name, text in render_all(folder).items():
        paths = [folder / "rendered" / f"{name}.md"]
        paths += [BUNDLED_MODEL / "README.md"] if name == BUNDLED_NAME else []
        for path in paths:
            if arguments.check and (not path.is_file() or path.read_text(encoding="utf-8") != text):
                stale.append(str(path))
            elif not arguments.check:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
                print(path)
    if stale:
        raise ValueError(f"{', '.join(stale)} do not equal their sources: run florenz card")
    return 0
