"""Lay results on emoji scenes side by side as a Markdown table.

python -m modeling_florenz.tiny.table hub_cards/results/florenz-tiny.json OTHER.json
"""

import json
import sys
from pathlib import Path
from statistics import mean
from typing import Any

from ..data.emoji_scenes.wording import LANGUAGES
from .evaluate import GIVEN, SELF_TAUGHT


def _rows(report: dict[str, Any]) -> dict[str, list[float]]:
    """Collect the values that each row of the table averages."""
    cells = report["cells"]
    rows = {}
    for name, title in (("caption", "captions"), ("caption_prefix", "captions with prefix")):
        for languages, kind in ((GIVEN, "given"), (SELF_TAUGHT, "self-taught")):
            for measure in ("exact", "objects", "language"):
                rows[f"{title}, {kind} ({', '.join(languages)}): {measure}"] = [
                    cells[name][language][measure] for language in languages
                ]
    for languages, kind in ((GIVEN, "given"), (SELF_TAUGHT, "self-taught")):
        rows[f"detailed captions, {kind} ({', '.join(languages)}): exact"] = [
            cells["detailed_caption"][language]["exact"] for language in languages
        ]
    targets = [language for language in LANGUAGES if language in cells["translate"]]
    for style in ("caption", "detailed_caption"):
        rows[f"translation of {style.replace('_', ' ')}s ({', '.join(targets)}): exact"] = [
            cells["translate"][language][f"exact_{style}"] for language in targets
        ]
    for image in ("image", "blank"):
        seen = "with the image" if image == "image" else "with a blank image"
        rows[f"ambiguous words, {seen}"] = [cells["ambiguous"][language][image] for language in targets]
    return rows


def markdown(reports: list[dict[str, Any]]) -> str:
    """Return the table, a row per measure, a column per model: the mean over languages and the lowest of them."""
    columns = [_rows(report) for report in reports]
    lines = [
        "| measure: mean (lowest language) | " + " | ".join(report["name"] for report in reports) + " |",
        "|---|" + "---|" * len(reports),
    ]
    for row in columns[0]:
        values = [f"{mean(column[row]):.3f} ({min(column[row]):.3f})" for column in columns]
        lines.append(f"| {row} | " + " | ".join(values) + " |")
    return "\n".join(lines)


def main() -> None:
    print(markdown([json.loads(Path(path).read_text(encoding="utf-8")) for path in sys.argv[1:]]))


if __name__ == "__main__":
    main()
