"""The command `florenz dataset`: write the emoji scenes as a dataset for the Hub."""

import argparse
from pathlib import Path
from typing import Any


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    dataset = commands.add_parser("dataset", help="write the emoji scenes as parquet files with a card")
    dataset.add_argument("folder", type=Path, metavar="FOLDER", help="the new folder")
    dataset.add_argument("--train", type=int, default=10_000, metavar="ROWS", help="training scenes (default: 10,000)")
    dataset.add_argument("--test", type=int, default=1_000, metavar="ROWS", help="test scenes (default: 1,000)")
    dataset.add_argument("--pairs", type=int, default=100, help="ambiguous pairs a language (default: 100)")
    dataset.set_defaults(run=_dataset)


def _dataset(arguments: argparse.Namespace) -> int:
    from ..publishing.scenes_dataset import write_scenes_dataset

    print(write_scenes_dataset(arguments.folder, arguments.train, arguments.test, arguments.pairs))
    return 0
