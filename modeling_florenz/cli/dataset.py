"""The command `florenz dataset`: write the emoji scenes as a dataset for the Hub."""

import argparse
import shutil
from pathlib import Path
from typing import Any


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    dataset = commands.add_parser("dataset", help="write the emoji scenes as parquet files with images and a card")
    dataset.add_argument("folder", type=Path, metavar="FOLDER", help="the new folder")
    dataset.add_argument("--train", type=int, default=10_000, metavar="ROWS", help="training scenes (default: 10,000)")
    dataset.add_argument("--test", type=int, default=1_000, metavar="ROWS", help="test scenes (default: 1,000)")
    dataset.add_argument("--pairs", type=int, default=100, help="ambiguous pairs a language (default: 100)")
    dataset.set_defaults(run=_dataset)


def _dataset(arguments: argparse.Namespace) -> int:
    from ..card_template import find_cards
    from ..publishing.companion_files import write_papers

    try:
        import datasets

        from ..data.emoji_scenes.parquet import write_parquet
        from ..tiny.cards import render_dataset_card
    except ImportError as error:
        raise ValueError(f"datasets need {error.name}: pip install 'modeling-florenz[train]'") from error
    datasets.disable_progress_bars()  # one a file of ours is enough

    folder: Path = arguments.folder
    if folder.exists():
        raise ValueError(f"{folder} exists already: remove it or give another name")
    # Under its name only when whole.
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    rows = write_parquet(partial, arguments.train, arguments.test, arguments.pairs)
    write_papers(find_cards(), "emoji_scenes", partial)
    (partial / "README.md").write_text(render_dataset_card(find_cards(), rows), encoding="utf-8")
    partial.rename(folder)
    print(folder)
    return 0
