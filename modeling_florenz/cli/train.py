"""The command `florenz train`: run a recipe, one of the package's or one's own."""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from .exit_codes import DONE, SIGNALLED, SOME_FAILED


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    train = commands.add_parser("train", help="fine-tune as a recipe says; run it again to go on", add_help=False)
    train.add_argument("recipe", metavar="RECIPE", help="a recipe of the package by name, or a YAML file")
    train.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="put a YAML value in a field's place"
    )
    train.add_argument(
        "--smoke", action="store_true", help="two steps on florenz-tiny and made-up data, in a temporary folder"
    )
    train.add_argument(
        "--dry-run",
        action="store_true",
        help="load everything, say what is trained on what, estimate memory and time by ten steps, and write nothing",
    )
    train.add_argument("-h", "--help", action=_Help, nargs=0, help="list the recipes and all fields too")
    train.set_defaults(run=_train)


class _Help(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *rest: Any) -> None:
        from ..training.fields import recipe_fields, recipe_names

        parser.print_help()
        print("\nrecipes:", ", ".join(recipe_names()))
        for kind, fields in recipe_fields().items():
            print(f"\nfields of {kind}:")
            for name, default in fields.items():
                print(f"  {name}: {default}")
        parser.exit()


def _train(arguments: argparse.Namespace) -> int:
    from ..evaluation.text_scores import score_texts
    from ..training.fine_tuning import fine_tune
    from ..training.outlook import dry_run
    from ..training.recipe_file import read_recipe, recipe_path
    from ..training.smoke import smoke_values
    from ..training.stop_signals import TrainingStopped

    path = recipe_path(arguments.recipe)
    values = read_recipe(path, arguments.set)
    if arguments.smoke:
        with tempfile.TemporaryDirectory(prefix="florenz-smoke-") as folder:
            run = fine_tune(smoke_values(values, Path(folder)), score_texts)
            print(f"{path.stem}: {run.results['steps']} steps, loss {run.results['training_loss']:.4f}: it runs")
        return 0
    values.setdefault("output_dir", f"runs/{path.stem}")
    if arguments.dry_run:
        print(*dry_run(values).lines(), sep="\n")
        return DONE
    try:
        run = fine_tune(values, score_texts)
    except TrainingStopped as stop:
        print(f"florenz: {stop}", file=sys.stderr)
        return SIGNALLED + stop.number
    for name, value in run.results["metrics"].items():
        print(f"{name}: {value:.4f}")
    print(run.folder)
    return SOME_FAILED if run.results["skipped"] else DONE
