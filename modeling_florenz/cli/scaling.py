"""The command `florenz scaling`."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from .arguments import Parser, at_least_one
from .exit_codes import SOME_FAILED


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    scaling = commands.add_parser("scaling", help="train grids of small models; fit, use and draw scaling laws")
    steps = scaling.add_subparsers(dest="step", required=True, parser_class=Parser, metavar="STEP")
    run = steps.add_parser("run", help="train and measure the runs of a grid; run it again to continue")
    run.add_argument("grid", type=Path, metavar="GRID.yaml", help="such as hub_cards/studies/law.yaml")
    run.add_argument("--folder", type=Path, required=True, help="checkpoints and stored image features")
    run.add_argument("--rows", type=Path, required=True, metavar="ROWS.jsonl", help="one line for each finished run")
    run.add_argument("--processes", type=at_least_one, default=1, help="that share the runs (default: 1)")
    run.add_argument("--slurm", metavar="PARTITION", help="submit the processes as jobs to a Slurm cluster")
    run.set_defaults(run=_run)
    fit = steps.add_parser("fit", help="fit laws to the rows of a grid")
    fit.add_argument("rows", type=Path, metavar="ROWS.jsonl", help="written by florenz scaling run")
    fit.add_argument("--arm", default="plain", help="of the grid (default: plain)")
    fit.add_argument("--widths", type=at_least_one, nargs="+", default=[], help="fit these alone (default: all)")
    fit.add_argument("--output", type=Path, required=True, metavar="LAW.json")
    fit.set_defaults(run=_fit)
    predict = steps.add_parser("predict", help="predict a loss, with its band, from laws that were fitted")
    predict.add_argument("law", type=Path, metavar="LAW.json", help="written by florenz scaling fit")
    predict.add_argument("--group", default="unseen_captioning", help="of losses (default: unseen_captioning)")
    predict.add_argument("--parameters", type=float, metavar="N", help="of the model; give --samples too")
    predict.add_argument("--samples", type=float, metavar="N", help="seen in training")
    predict.add_argument("--compute", type=float, metavar="MACS", help="of training, in place of the other two")
    predict.add_argument("--json", action="store_true", help="one JSON object")
    predict.set_defaults(run=_predict)
    plot = steps.add_parser("plot", help="draw laws that were fitted, as SVG and PNG")
    plot.add_argument("rows", type=Path, metavar="ROWS.jsonl", help="written by florenz scaling run")
    plot.add_argument("--law", type=Path, required=True, metavar="LAW.json", help="written by florenz scaling fit")
    plot.add_argument("--prefix-dose", type=Path, metavar="JSON", help="written by evaluation.studies.prefix_dose")
    plot.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    plot.set_defaults(run=_plot)


def _run(arguments: argparse.Namespace) -> int:
    from ..scaling.estimate import core_hours
    from ..scaling.grid import read_grid
    from ..scaling.grid_run import check_unchanged, remaining
    from ..scaling.share import run_in_processes, submit

    grid = read_grid(arguments.grid)
    if (arguments.folder / "grid.json").exists():
        check_unchanged(grid, arguments.folder)
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


def _fit(arguments: argparse.Namespace) -> int:
    from ..resumable import write_json
    from ..run_record import run_record
    from ..scaling.law_report import make_report
    from ..scaling.law_rows import read_rows
    from ..scaling.law_text import summary

    report = make_report(read_rows(arguments.rows), arguments.arm, arguments.widths)
    write_json(arguments.output, report | run_record())
    print(summary(report))
    return 0


def _predict(arguments: argparse.Namespace) -> int:
    from ..scaling.law_file import read_report, stored_law
    from ..scaling.laws import beyond, predict

    pair = {"parameters": arguments.parameters, "samples": arguments.samples}
    if arguments.compute is not None and any(value is not None for value in pair.values()):
        raise ValueError("--compute stands in place of --parameters and --samples: give it, or both of them")
    values = {"compute": arguments.compute} if arguments.compute is not None else pair
    if missing := [name for name, value in values.items() if value is None]:
        raise ValueError(f"--{missing[0]} is missing: give --parameters and --samples, or --compute")
    report = read_report(arguments.law)
    path = ("compute", "compute") if arguments.compute is not None else ("size_samples", "parameters")
    law = stored_law(report, arguments.group, *path)
    found = predict(law, values)
    for name in beyond(law, values):
        low, high = law.ranges[name]
        print(
            f"florenz: {name} is {values[name]:g}, more than twice beyond the fitted range of {low:g} to {high:g}: "
            "the band holds only if the law does",
            file=sys.stderr,
        )
    if arguments.json:
        print(json.dumps({"group": arguments.group, **values, **vars(found)}))
    else:
        print(f"{arguments.group}: {found.value:.4g} nats ({found.low:.4g} to {found.high:.4g})")
    return 0


def _plot(arguments: argparse.Namespace) -> int:
    from ..scaling.law_file import read_report
    from ..scaling.law_plots import draw_all
    from ..scaling.law_rows import read_rows

    report = read_report(arguments.law)
    for path in draw_all(read_rows(arguments.rows), report, arguments.output, arguments.prefix_dose):
        print(path)
    return 0
