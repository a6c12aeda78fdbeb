"""The command `florenz scaling`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from .arguments import Parser, at_least_one
from .exit_codes import SOME_FAILED


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    scaling = commands.add_parser("scaling", help="train a grid of small models for a scaling law")
    steps = scaling.add_subparsers(dest="step", required=True, parser_class=Parser, metavar="STEP")
    run = steps.add_parser("run", help="train and measure the runs of a grid; run it again to continue")
    run.add_argument("grid", type=Path, metavar="GRID.yaml", help="such as hub_cards/studies/law.yaml")
    run.add_argument("--folder", type=Path, required=True, help="checkpoints and stored image features")
    run.add_argument("--rows", type=Path, required=True, metavar="ROWS.jsonl", help="one line for each finished run")
    run.add_argument("--processes", type=at_least_one, default=1, help="that share the runs (default: 1)")
    run.add_argument("--slurm", metavar="PARTITION", help="submit the processes as jobs to a Slurm cluster")
    run.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from ..scaling.estimate import core_hours
    from ..scaling.grid import read_grid
    from ..scaling.grid_run import remaining
    from ..scaling.share import run_in_processes, submit

    grid = read_grid(arguments.grid)
    runs = remaining(grid, arguments.rows)
    if not runs:
        print(f"all {len(grid.runs())} runs have a row in {arguments.rows}")
        return 0
    hours = core_hours(grid, runs)
    print(f"{len(runs)} of {len(grid.runs())} runs are left: about {hours:.2g} core-hours of training")
    if hours > grid.max_core_hours:
        raise ValueError(
            f"the runs left take about {hours:.2g} core-hours, more than max_core_hours, which is "
            f"{grid.max_core_hours:g}: raise it in {arguments.grid}, or take runs out"
        )
    if arguments.slurm:
        jobs = submit(arguments.grid, arguments.folder, arguments.rows, arguments.processes, arguments.slurm)
        print(f"submitted: {', '.join(jobs)}; logs are in {arguments.folder / 'slurm'}")
        return 0
    failed = run_in_processes(arguments.grid, arguments.folder, arguments.rows, arguments.processes)
    if failed:
        print(
            f"florenz: {failed} of {arguments.processes} processes failed, see above; finished runs are kept, and the "
            "same command goes on",
            file=sys.stderr,
        )
    return SOME_FAILED if failed else 0
