"""Run the experiment of a registration: every arm with every seed, one row per run.

    python -m modeling_florenz.scaling.run hub_cards/studies/preregistration.yaml --folder runs/controls \\
        --rows hub_cards/studies/controls.jsonl

Runs that have a row are not repeated; a run that was killed goes on at its last checkpoint. Several processes share
the work, as each takes runs that no other holds.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from ..resumable import InUse, JsonLines, hold
from ..run_record import run_record
from .arms import Experiment, read_experiment
from .measure import PROTOCOL, measure
from .train_run import Schedule, train_run


def finished(rows: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """Read the rows of finished runs by arm and seed.

    Raises:
        ValueError: a line is broken, or a run has two rows.
    """
    return JsonLines(rows, "arm", "seed").entries


def run(experiment: Experiment, letter: str, seed: int, folder: Path, tower: Path | None = None) -> dict[str, Any]:
    """Train and measure one run; return its row."""
    start = time.process_time()
    schedule = Schedule(experiment.steps, experiment.batch_size, experiment.learning_rate, experiment.warmup_steps)
    trained = train_run(experiment.arms[letter], schedule, seed, folder, f"{letter}-{seed}", tower)
    training = time.process_time() - start
    cells = measure(trained["model"], trained["processor"], experiment.scenes)
    return {
        "arm": letter,
        "seed": seed,
        "name": experiment.arms[letter].name,
        "label": "measured-here",
        "steps": experiment.arms[letter].self_taught_steps or experiment.steps,
        "hidden": trained["hidden"],
        "loss": trained["loss"],
        "core_seconds": {"training": round(training), "all": round(time.process_time() - start)},
        **run_record(),
        "protocol": PROTOCOL,
        **cells,
    }


def run_all(path: Path, folder: Path, rows: Path, only: list[str], tower: Path | None = None) -> None:
    """Run what has no row yet, and add its row."""
    experiment = read_experiment(path)
    folder.mkdir(parents=True, exist_ok=True)
    for letter, seed in experiment.runs():
        if only and letter not in only:
            continue
        try:
            with hold(folder / f"{letter}-{seed}"):
                done = finished(rows)
                needed = experiment.arms[letter].start
                if (letter, seed) in done or (needed and (needed, seed) not in done):
                    continue
                print(f"arm {letter} ({experiment.arms[letter].name}), seed {seed}", flush=True)
                row = run(experiment, letter, seed, folder, tower)
                with hold(rows, wait=True):
                    JsonLines(rows, "arm", "seed").append([row])
        except InUse:
            continue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("registration", type=Path)
    parser.add_argument("--folder", type=Path, required=True, help="checkpoints and features")
    parser.add_argument("--rows", type=Path, required=True, help="JSON lines, one for each finished run")
    parser.add_argument("--only", nargs="*", default=[], help="letters of arms")
    parser.add_argument("--tower", type=Path, help="file of modeling_florenz.tiny.tower; default: the bundled tower")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    run_all(arguments.registration, arguments.folder, arguments.rows, arguments.only, arguments.tower)


if __name__ == "__main__":
    main()
