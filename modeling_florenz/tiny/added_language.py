"""Measure what adapters that add a language to `florenz-tiny` know of it, and what they forgot.

python -m modeling_florenz.tiny.added_language it runs/add_language_lora/adapter runs/plain/adapter \\
    --output hub_cards/results/add-language.json
"""

import argparse
import json
from pathlib import Path
from statistics import mean
from typing import Any

from tqdm import tqdm

from ..data.emoji_scenes.wording import LANGUAGES
from ..inference.captioner import Captioner
from ..resumable import write_json
from ..run_record import run_record
from .evaluate import PROTOCOL, EmojiEvaluation


MEASURES = ("exact", "objects", "language")


def measure(adapter: Path | None, languages: list[str], scenes: int) -> dict[str, dict[str, dict[str, float]]]:
    """Score captions in each language, without and with prefix, in a new one also by way of English.

    Returns:
        cells by language, kind and measure.
    """
    captioner = Captioner(adapter=adapter)
    run = EmojiEvaluation(captioner.model, captioner.processor, scenes)
    cells = {
        language: {
            "caption": run.captions(language, prefix=False),
            "caption_prefix": run.captions(language, prefix=True),
        }
        for language in tqdm(languages, unit="language", disable=None)
    }
    for language in set(languages) - set(LANGUAGES):
        cells[language]["caption_pivot"] = run.captions(language, pivot=True)
    return cells


def largest_loss(before: dict[str, Any], after: dict[str, Any]) -> float:
    """Return the most that any measure of any old language lost, in points out of a hundred."""
    return max(
        100 * (before[language][kind][name] - after[language][kind][name])
        for language in before
        for kind in before[language]
        for name in MEASURES
    )


def compare(language: str, adapters: list[Path], scenes: int) -> dict[str, Any]:
    """Measure the base model in its languages, and each adapter in these and in the one it adds.

    Returns:
        cells by name, and a table with one row for the base and one for each adapter.
    """
    cells: dict[str, Any] = {"florenz-tiny": measure(None, list(LANGUAGES), scenes)}
    base = cells["florenz-tiny"]

    def old_mean(found: dict[str, Any]) -> float:
        return mean(found[code]["caption"]["exact"] for code in LANGUAGES)

    title = (
        f"| model | {language}: exact | language | with prefix: exact | language | by way of English: exact "
        "| old languages: exact | largest loss | adapter |"
    )
    rows = [title, "|---|---|---|---|---|---|---|---|---|", f"| florenz-tiny | | | | | | {old_mean(base):.3f} | | |"]
    for adapter in adapters:
        name = adapter.parent.name
        found = cells[name] = measure(adapter, [*LANGUAGES, language], scenes)
        kinds = [("caption", "exact"), ("caption", "language"), ("caption_prefix", "exact")]
        kinds += [("caption_prefix", "language"), ("caption_pivot", "exact")]
        new = " | ".join(f"{found[language][kind][measure]:.3f}" for kind, measure in kinds)
        lost = largest_loss(base, {code: found[code] for code in LANGUAGES})
        size = (adapter / "adapter_model.safetensors").stat().st_size / 1e6
        rows.append(f"| {name} | {new} | {old_mean(found):.3f} | {lost:.1f} points | {size:.2f} MB |")
    return {"cells": cells, "table": "\n".join(rows)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("language", help="ISO 639-1 code of the added language")
    parser.add_argument("adapters", nargs="+", type=Path)
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    report = {
        "label": "measured-here",
        "protocol": PROTOCOL
        + "; by way of English: the English caption translated beside the image; largest loss: of any measure of any "
        "old language, with or without prefix",
        "training": {
            adapter.parent.name: json.loads((adapter / "results.json").read_text(encoding="utf-8"))
            for adapter in arguments.adapters
        },
        "scenes": arguments.scenes,
        **run_record(),
        **compare(arguments.language, arguments.adapters, arguments.scenes),
    }
    write_json(arguments.output, report)
    print(report["table"])


if __name__ == "__main__":
    main()
