"""Write the page about the controls from the registration and the rows of finished runs.

    python -m modeling_florenz.scaling.controls_page

Reads `preregistration.yaml` and `controls.jsonl` in `hub_cards/studies`; writes `controls.md` and `controls.png`
beside them, and `hub_cards/results/controls.json`.
"""

import sys
from pathlib import Path
from typing import Any

from ..card_template import find_cards
from ..resumable import write_json, write_text
from ..yaml_files import read_yaml
from .arms import Experiment, read_experiment
from .bars import Rows, Verdict, decide
from .comparison import TAUGHT, UNTAUGHT, estimate, scene_scores
from .controls_notes import hardware, notes
from .controls_picture import draw
from .measure import PROTOCOL
from .run import finished


COMMAND = (
    "python -m modeling_florenz.scaling.run hub_cards/studies/preregistration.yaml --folder runs/controls "
    "--rows hub_cards/studies/controls.jsonl && python -m modeling_florenz.scaling.controls_page"
)


def bar_seeds(name: str, experiment: Experiment) -> tuple[int, ...]:
    """Return the seeds of a bar: one for the bar about the image, whose arm has one, else two."""
    return experiment.arms["f"].seeds if name == "it_is_the_image" else experiment.arms["a"].seeds


def results(registration: dict[str, Any], experiment: Experiment, rows: Rows) -> dict[str, Any]:
    """Return what `hub_cards/results/controls.json` holds: means and intervals of every run, and the verdicts."""
    runs = {}
    for (letter, seed), row in sorted(rows.items()):
        cells = {
            f"{mode}, {kind}: {measure}": estimate(scene_scores(row, mode, measure, languages)).__dict__
            for kind, languages in (("taught", TAUGHT), ("untaught", UNTAUGHT))
            for mode in ("direct", "prefix")
            for measure in ("exact", "things", "language")
        }
        cells["pivot, untaught: exact"] = estimate(scene_scores(row, "pivot", "exact", UNTAUGHT)).__dict__
        cells["translate, untaught: exact"] = estimate(scene_scores(row, "translate", "exact", UNTAUGHT)).__dict__
        for subset in ("never hidden", "hidden half"):
            scores = scene_scores(row, "direct", "things", UNTAUGHT, subset)
            cells[f"direct, untaught, {subset}: things"] = estimate(scores).__dict__
        cells |= {
            f"direct, {language}: {measure}": {
                "value": float(scene_scores(row, "direct", measure, (language,)).mean())
            }
            for language in UNTAUGHT
            for measure in ("exact", "things", "language")
        }
        runs[f"{letter}/{seed}"] = {"hidden": row["hidden"], "core_seconds": row["core_seconds"], "cells": cells}
    bars = {}
    for name, bar in registration["bars"].items():
        verdict = decide(name, rows, bar_seeds(name, experiment))
        sentence = None if verdict.holds is None else bar["holds" if verdict.holds else "fails"].strip()
        bars[name] = {"found": verdict.found, "holds": verdict.holds, "sentence": sentence}
    return {
        "name": "controls of hiding source words",
        "label": "measured-here",
        "protocol": PROTOCOL,
        "command": COMMAND,
        "runs": runs,
        "bars": bars,
    }


def _cell(cells: dict[str, Any], name: str) -> str:
    found = cells[name]
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def table(experiment: Experiment, found: dict[str, Any]) -> str:
    """Lay out one row for each run; runs that are missing say so."""
    columns = {
        "taught, direct: exact": "direct, taught: exact",
        "untaught, direct: exact": "direct, untaught: exact",
        "by pivot: exact": "pivot, untaught: exact",
        "things, nouns never hidden": "direct, untaught, never hidden: things",
        "things, nouns of the hidden half": "direct, untaught, hidden half: things",
        "language": "direct, untaught: language",
        "language with prefix": "prefix, untaught: language",
    }
    lines = ["| arm | seed | " + " | ".join(columns) + " |", "|---|---|" + "---|" * len(columns)]
    for letter, arm in experiment.arms.items():
        for seed in arm.seeds:
            run = found["runs"].get(f"{letter}/{seed}")
            values = [_cell(run["cells"], name) if run else "not run yet" for name in columns.values()]
            lines.append(f"| ({letter}) {arm.name} | {seed} | " + " | ".join(values) + " |")
    return "\n".join(lines)


def _verdict(name: str, bar: dict[str, str], verdict: Verdict) -> str:
    word = {True: "holds", False: "does not hold", None: "open: a run is missing"}[verdict.holds]
    values = "; ".join(f"seed {seed}: {words}" for seed, words in verdict.found.items())
    sentence = "" if verdict.holds is None else f" **{bar['holds' if verdict.holds else 'fails'].strip()}**"
    title = name.replace("_", " ").capitalize()
    return f"- *{title}* ({bar['bar']}): {word}{f' ({values})' if values else ''}.{sentence}"


def page(registration: dict[str, Any], experiment: Experiment, rows: Rows, found: dict[str, Any]) -> str:
    """Write the page."""
    verdicts = [
        _verdict(name, bar, decide(name, rows, bar_seeds(name, experiment)))
        for name, bar in registration["bars"].items()
    ]
    return "\n".join(
        (
            "# What does hiding source words teach?",
            "",
            registration["question"].strip(),
            "",
            "![Things named right in captions of untaught languages, by arm](controls.png)",
            "",
            "## What was found",
            "",
            "Each bar and both of its sentences were written down before the first run, in",
            "[`preregistration.yaml`](preregistration.yaml).",
            "",
            *verdicts,
            "",
            "Beside the bars:",
            "",
            *notes(rows),
            "",
            "## Set-up",
            "",
            registration["shared"].strip(),
            "",
            registration["measured"].strip(),
            "",
            f"Each run has {experiment.steps:,} steps of {experiment.batch_size}. {hardware(rows)} Every scene's "
            "score is in [`controls.jsonl`](controls.jsonl).",
            "",
            "## Every run",
            "",
            "Means with 95 % intervals over scenes; untaught are fr, es, ru and zh, taught are en and de.",
            "",
            table(experiment, found),
            "",
            "```bash",
            COMMAND.replace(" && ", "\n"),
            "```",
            "",
            "Nearest work: visually conditioned masked language modelling, which also lets an image tell masked",
            "source words, in VGAMT (Futeral et al. 2023) and ZeroMMT (Futeral et al. 2024); and source masking as a",
            "probe of multimodal translation (Caglayan et al. 2019).",
            "",
        )
    )


def main() -> None:
    if sys.argv[1:]:
        raise SystemExit(__doc__)
    cards: Path = find_cards()
    studies = cards / "studies"
    registration = read_yaml(studies / "preregistration.yaml")
    experiment = read_experiment(studies / "preregistration.yaml")
    rows = finished(studies / "controls.jsonl")
    found = results(registration, experiment, rows)
    write_json(cards / "results" / "controls.json", found)
    write_text(studies / "controls.md", page(registration, experiment, rows, found))
    draw(experiment, found, studies / "controls.png")


if __name__ == "__main__":
    main()
