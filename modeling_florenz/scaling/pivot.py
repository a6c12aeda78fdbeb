"""Compare direct captions with captions by way of English, language by language, on held-out scenes.

    python -m modeling_florenz.scaling.pivot --model florenz-tiny=modeling_florenz/florenz_tiny \\
        --row plain=hub_cards/studies/florenz_tiny.jsonl:plain:2 --output hub_cards/results/pivot.json

A model is measured; of a finished run the row is read.
"""

import argparse
from pathlib import Path
from typing import Any

from ..checkpoint.loading import load
from ..data.emoji_scenes.wording import LANGUAGES
from ..resumable import write_json
from ..run_record import run_record
from .comparison import estimate, scene_scores
from .measure import PROTOCOL, measure
from .run import finished


def compare(row: dict[str, Any]) -> dict[str, Any]:
    """Return, by language, the share of exact captions direct and by pivot, and direct minus pivot with its interval.

    Args:
        row: cells as `measure` returns them, or the row of a run.
    """
    found: dict[str, Any] = {}
    for language in LANGUAGES:
        direct = scene_scores(row, "direct", "exact", (language,))
        found[language] = {"direct": float(direct.mean())}
        if language != "en":
            pivot = scene_scores(row, "pivot", "exact", (language,))
            difference = estimate(direct - pivot)
            found[language] |= {"pivot": float(pivot.mean()), "direct - pivot": difference.__dict__}
    return found


def table(models: dict[str, dict[str, Any]]) -> str:
    """Format a table with a row for each model and way, and a column for each language."""
    lines = [f"| captions exact | {' | '.join(LANGUAGES)} |", "|---" * (len(LANGUAGES) + 1) + "|"]
    for name, found in models.items():
        for way in ("direct", "pivot"):
            cells = [f"{found[language][way]:.3f}" if way in found[language] else "" for language in LANGUAGES]
            title = f"{name}, {'direct' if way == 'direct' else 'by way of English'}"
            lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", required=True, metavar="NAME=FOLDER", help="may be repeated")
    parser.add_argument(
        "--row", action="append", default=[], metavar="NAME=FILE:ARM:SEED", help="of a finished run; may be repeated"
    )
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    models = {}
    for entry in arguments.model:
        name, _, folder = entry.partition("=")
        florenz = load(folder)
        models[name] = compare(measure(florenz.model, florenz.processor, arguments.scenes))
    for entry in arguments.row:
        name, _, place = entry.partition("=")
        path, letter, seed = place.rsplit(":", 2)
        models[name] = compare(finished(Path(path))[letter, int(seed)])
    report = {
        "name": "captions direct and by way of English",
        "label": "measured-here",
        "protocol": PROTOCOL,
        **run_record(),
        "scenes": arguments.scenes,
        "models": models,
        "table": table(models),
    }
    write_json(arguments.output, report)
    print(report["table"])


if __name__ == "__main__":
    main()
