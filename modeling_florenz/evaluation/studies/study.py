"""What the studies have in common: models and scenes from the command line, and results that survive a kill."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from ...checkpoint.fingerprint import weights_digest
from ...checkpoint.loading import BUNDLED_NAME, LoadedModel, load
from ...resumable import JsonLines, hold, write_json
from ...run_record import run_record


SEED = 2025  # of the test scenes; training uses others
SCENES = (
    "held-out scenes of two or three things, each with a pair of things that never met in training; float32; names "
    "are compared after NFKC, case folding and folding of white space"
)


def parse(description: str | None, scenes: int, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read models, number of scenes and output file from the command line."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model",
        action="append",
        type=_named,
        metavar="NAME=FOLDER",
        help="may be repeated (default: florenz-tiny, the bundled model)",
    )
    parser.add_argument("--scenes", type=_at_least_one, default=scenes, help=f"(default: {scenes})")
    parser.add_argument("--output", type=Path, required=True, metavar="RESULTS.json")
    found = parser.parse_args(arguments)
    found.model = dict(found.model or [(BUNDLED_NAME, BUNDLED_NAME)])
    return found


def _named(text: str) -> tuple[str, str]:
    name, _, folder = text.partition("=")
    if not name or not folder:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=FOLDER: write it as in tiny=florenz-tiny")
    return name, folder


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def measure_models(
    arguments: argparse.Namespace, name: str, protocol: str, measure: Callable[[LoadedModel, int], dict[str, Any]]
) -> dict[str, Any]:
    """Measure each model, and write the results with protocol and record.

    What is measured is kept beside the output, model by model, until all are: the same command goes on from there.

    Args:
        arguments: see `parse`.
        name: of the study.
        protocol: how it is measured.
        measure: of a model and a number of scenes.

    Returns:
        the results; under `models` by name.

    Raises:
        ValueError: a model cannot be loaded, or another process writes the same output.
    """
    torch.set_num_threads(1)
    path = arguments.output.with_suffix(".measured.jsonl")
    models = {}
    with hold(arguments.output):
        for title, folder in arguments.model.items():
            loaded = load(folder)
            loaded.model.eval()
            # Weights of the same name may have changed since.
            key = (name, title, weights_digest(loaded.model), arguments.scenes)
            kept = JsonLines(path, "study", "model", "weights_digest", "scenes")
            if key not in kept.entries:
                found = {"found": measure(loaded, arguments.scenes)}
                kept.append([dict(zip(kept.fields, key, strict=True)) | found])
            models[title] = {"weights_digest": key[2], **kept.entries[key]["found"]}
            print(f"measured {title}", flush=True)
        record = {"name": name, "label": "measured-here", "protocol": protocol, **run_record()}
        report = record | {"scenes": arguments.scenes, "models": models}
        write_json(arguments.output, report)
        path.unlink(missing_ok=True)
    return report
