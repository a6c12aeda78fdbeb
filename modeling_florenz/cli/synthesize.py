"""The command `florenz synthesize`: make training data as a recipe says."""

import argparse
import sys
from pathlib import Path
from typing import Any

from .arguments import at_least_one
from .exit_codes import DONE, SOME_FAILED


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    synthesize = commands.add_parser("synthesize", help="make training data from images and sentence pairs")
    synthesize.add_argument("recipe", metavar="RECIPE", help="emoji, photos, paper_cc12m, or a YAML file")
    synthesize.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="of the dataset")
    synthesize.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="put a YAML value in a field's place"
    )
    synthesize.add_argument("--limit", type=at_least_one, default=0, metavar="N", help="use N images, N pairs a file")
    synthesize.add_argument(
        "--processes", type=at_least_one, default=1, help="where no model is asked; with ray, also actors (default: 1)"
    )
    synthesize.add_argument("--dry-run", action="store_true", help="print counts, models, hours and disk, and stop")
    synthesize.set_defaults(run=_synthesize)


def _synthesize(arguments: argparse.Namespace) -> int:
    from ..synthesis.pipeline import synthesize, work_folder
    from ..synthesis.plan import describe_plan, plan
    from ..synthesis.recipe_file import read_recipe, recipe_path

    recipe = read_recipe(recipe_path(arguments.recipe), arguments.set)
    if arguments.dry_run:
        steps = plan(recipe, arguments.output, arguments.limit)
        print(*describe_plan(recipe, steps, arguments.output), sep="\n")
        return DONE
    run = synthesize(recipe, arguments.output, arguments.processes, arguments.limit)
    for step, reason, count in run.table():
        print(f"left out: {count:>8,}  {step}: {reason}", file=sys.stderr)
    if run.tested.missing:
        print(f"florenz: not compared with {', '.join(run.tested.missing)}: not there", file=sys.stderr)
    if run.faults:
        print(f"florenz: {run.faults:,} rows failed: see {work_folder(run.folder) / 'skipped.jsonl'}", file=sys.stderr)
    print(f"{sum(run.steps[-1].counts):,} rows")
    print(run.folder)
    return SOME_FAILED if run.faults else DONE
