"""Lay the candidates for the bundled checkpoint side by side, from their rows.

python -m modeling_florenz.scaling.candidates
"""

import sys
from pathlib import Path
from typing import Any

from ..card_template import find_cards
from ..resumable import write_json
from .arms import Experiment, read_experiment
from .comparison import TAUGHT, UNTAUGHT, estimate, scene_scores
from .controls_notes import hardware
from .measure import PROTOCOL
from .run import finished


COMMAND = (
    "python -m modeling_florenz.scaling.run hub_cards/studies/florenz_tiny.yaml --folder runs/florenz_tiny "
    "--rows hub_cards/studies/florenz_tiny.jsonl && python -m modeling_florenz.scaling.candidates"
)
COLUMNS = {  # title: way, measure, languages
    "en, de: exact": ("direct", "exact", TAUGHT),
    "fr, es, ru, zh: exact": ("direct", "exact", UNTAUGHT),
    "things": ("direct", "things", UNTAUGHT),
    "language": ("direct", "language", UNTAUGHT),
    "with prefix: exact": ("prefix", "exact", UNTAUGHT),
    "by way of English: exact": ("pivot", "exact", UNTAUGHT),
    "translations: exact": ("translate", "exact", UNTAUGHT),
}


def report(experiment: Experiment, rows: dict[tuple[str, int], dict[str, Any]]) -> dict[str, Any]:
    """Return the table and, run by run, the mean of every column with its interval.

    Args:
        experiment: the arms, in the order of the table.
        rows: finished runs by arm and seed.
    """
    runs = {}
    lines = ["| captions, 1,000 scenes | " + " | ".join(COLUMNS) + " |", "|---|" + "---|" * len(COLUMNS)]
    for letter, seed in experiment.runs():
        row = rows[letter, seed]
        cells = {title: estimate(scene_scores(row, *where)) for title, where in COLUMNS.items()}
        runs[letter] = {title: cell.__dict__ for title, cell in cells.items()}
        values = " | ".join(f"{cell.value:.3f}" for cell in cells.values())
        lines.append(f"| {experiment.arms[letter].name} | {values} |")
    return {
        "name": "candidates for florenz-tiny",
        "label": "measured-here",
        "protocol": PROTOCOL,
        "command": COMMAND,
        "hardware": hardware(rows),
        "steps": {letter: rows[letter, seed]["steps"] for letter, seed in experiment.runs()},
        "runs": runs,
        "table": "\n".join(lines),
    }


def main() -> None:
    if sys.argv[1:]:
        raise SystemExit(__doc__)
    cards: Path = find_cards()
    experiment = read_experiment(cards / "studies" / "florenz_tiny.yaml")
    found = report(experiment, finished(cards / "studies" / "florenz_tiny.jsonl"))
    write_json(cards / "results" / "florenz-tiny-recipes.json", found)
    print(found["table"])


if __name__ == "__main__":
    main()
