"""Write the page of the scaling studies from the registration, the table of runs and the results of the studies.

    python -m modeling_florenz.scaling.law_page

Reads `law.yaml` and `law.jsonl` in `hub_cards/studies` and the studies' files in `hub_cards/results`; writes
`README.md` and the pictures beside them, and `hub_cards/results/law.json`.
"""

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..card_template import find_cards, read_results
from ..resumable import write_json, write_text
from ..run_record import run_record
from ..yaml_files import read_yaml
from .grid import Grid, read_grid
from .law_bars import decide
from .law_plots import draw_all
from .law_report import make_report
from .law_rows import read_rows, whole_cells
from .law_tables import (
    bend_sentences,
    calibration_table,
    held_out_table,
    laws_table,
    others_sentence,
    prefix_sentences,
    word_to_thing_sentence,
)


STUDIES = ("law-simulation", "word-to-thing", "calibration", "prefix-dose")
PICTURES = {
    "law-compute": "Loss against the compute of training, with the front, its law and the band",
    "law-samples": "Loss against samples, a line for each width",
    "hiding": "Loss against steps of training, by the share of source words that are hidden",
    "prefix-dose": "Share of captions in the asked language, by words of the prefix given",
}
COMMANDS = """florenz scaling run hub_cards/studies/law.yaml --folder runs/law --rows hub_cards/studies/law.jsonl
python -m modeling_florenz.scaling.law_page"""


def results(registration: Mapping[str, Any], grid: Grid, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the report of the registered fit with the verdicts on its bars, its tables, and what is missing.

    Args:
        registration: what `law.yaml` holds.
        grid: its grid.
        rows: of finished runs; of a cell without all of its seeds none is used.
    """
    kept, missing = whole_cells(rows, grid)
    report = make_report(kept, registration["fit"]["arm"], registration["fit"]["widths"])
    return {
        **report,
        "table": laws_table(report),
        "held_out_table": held_out_table(report),
        "bends": bend_sentences(report),
        "bars": decide(kept, grid, report, registration["bars"]),
        "grid": {
            "runs": len(grid.runs()),
            "finished": len(grid.runs()) - len(missing),
            "missing": missing,
            "core_hours": round(sum(row["core_seconds"] for row in rows) / 3600, 1),
        },
    }


def page(registration: Mapping[str, Any], found: Mapping[str, Any], studies: Mapping[str, Any]) -> str:
    """Write the page.

    Args:
        registration: what `law.yaml` holds.
        found: see `results`.
        studies: results by name, see `STUDIES`.
    """
    fit, grid = registration["fit"], found["grid"]
    done = f"{grid['finished']} of the" if grid["missing"] else "All"
    missing = f" Missing: {', '.join(grid['missing'])}." if grid["missing"] else ""
    return "\n".join(
        (
            "# Does a law of small runs foretell larger ones?",
            "",
            registration["question"].strip(),
            "",
            "## Set-up",
            "",
            " ".join(
                (
                    f"{done} {grid['runs']} registered runs are in the table. They took",
                    f"{grid['core_hours']} core-hours, some of them on a GPU.{missing}",
                    registration["measured"].strip(),
                    f"The law is that of the arm {fit['arm']} at widths {', '.join(map(str, fit['widths']))}:",
                    f"{len(found['cells'])} cells of {found['runs']} runs, {found['diverged']} diverged.",
                    registration["law"].strip(),
                )
            ),
            "",
            registration["amendment"].strip(),
            "",
            "## Results",
            "",
            _picture("law-compute"),
            "",
            "Slopes of the logarithm of the loss, with intervals of 95 %:",
            "",
            found["table"],
            "",
            others_sentence(found),
            "",
            _picture("law-samples"),
            "",
            "Fitted without the largest, then asked for it. The last three columns say by what factor the law and two",
            "baselines are wrong, as a mean:",
            "",
            found["held_out_table"],
            "",
            "The bars, with both of their sentences, are in [`law.yaml`](law.yaml), written before the first run and",
            "amended as described above:",
            "",
            *(_verdict(name, bar) for name, bar in found["bars"].items()),
            "",
            " ".join(_simulated(studies["law-simulation"])),
            "",
            _picture("hiding"),
            "",
            f"**Word to thing.** {word_to_thing_sentence(studies['word-to-thing'])}",
            "",
            "**Calibration.** Expected calibration error of names while more and more of a thing is covered:",
            "",
            calibration_table(studies["calibration"]),
            "",
            "A name in another language than the one asked for counts as wrong, however sure the model is of it.",
            "",
            f"**Prefix.** {' '.join(prefix_sentences(studies['prefix-dose']))}",
            "",
            _picture("prefix-dose"),
            "",
            "## What did not reproduce, and what the law misses",
            "",
            *_not_reproduced(found),
            "",
            "## Again",
            "",
            "Every run is a row of [`law.jsonl`](law.jsonl); every number is in [a result file](../README.md), with",
            "protocol and command; how far each cell is from the law is in [this picture](law/law-residuals.png).",
            "",
            "```bash",
            COMMANDS,
            "```",
            "",
        )
    )


def _picture(name: str) -> str:
    return f"![{PICTURES[name]}](law/{name}.png)"


def _verdict(name: str, bar: Mapping[str, Any]) -> str:
    word = {True: "holds", False: "does not hold", None: "open, as runs are missing"}[bar["holds"]]
    sentence = f" **{bar['sentence']}**" if bar["sentence"] else ""
    return f"- *{name.capitalize()}* ({bar['bar']}): {word} ({'; '.join(bar['found'])}).{sentence}"


def _simulated(results: Mapping[str, Any]) -> tuple[str, ...]:
    found, offset = results["coverage"], results["offset"]
    return (
        f"Of {results['laws']:,} simulated grids, the intervals hold the truth in a share of",
        f"{found['equal noise, cells']:.3f}, and of {found['shared noise, cells']:.3f} where seeds of a cell share a",
        f"deviation; with each run taken for independent, of {found['shared noise, pooled']:.3f}. A true offset of",
        f"{offset['true']:.1f} is identified in a share of {offset['identified']:.3f} of such grids.",
    )


def _not_reproduced(found: Mapping[str, Any]) -> list[str]:
    lines = [
        f"- {bar['sentence']}" for name, bar in found["bars"].items() if bar["holds"] is False and bar["sentence"]
    ]
    decay = found["bars"]["decay"]["found"]
    if unknown := sum("no shorter run" in words for words in decay):
        lines.append(
            f"- Decay could be looked for in {len(decay) - unknown} of {len(decay)} widths and seeds: in the others, "
            "every shorter run is under `accuracies_from`, and so not measured in languages never captioned."
        )
    offsets = [group["size_samples"]["parameters"]["with_offset"] for group in found["groups"].values()]
    unknown = sum(not offset.get("identified", False) for offset in offsets)
    if unknown:
        lines.append(
            f"- An offset, the loss that nothing goes below, is not identified in {unknown} of {len(offsets)} laws."
        )
    return [*lines, *(f"- {sentence}" for sentence in found["bends"])]


def main() -> None:
    if sys.argv[1:]:
        raise SystemExit(__doc__)
    cards: Path = find_cards()
    folder = cards / "studies"
    registration, grid = read_yaml(folder / "law.yaml"), read_grid(folder / "law.yaml")
    rows = read_rows(folder / "law.jsonl")
    found = results(registration, grid, rows)
    studies = {name: read_results(cards, name) for name in STUDIES}
    kept, _ = whole_cells(rows, grid)
    draw_all(kept, found, folder / "law", cards / "results" / "prefix-dose.json")
    means = {"calibration_table": calibration_table(studies["calibration"])}
    write_json(cards / "results" / "law.json", found | means | run_record())
    write_text(folder / "README.md", page(registration, found, studies))
    shutil.copyfile(folder / "law" / "law-compute.png", cards / "images" / "scaling_runs.png")


if __name__ == "__main__":
    main()
