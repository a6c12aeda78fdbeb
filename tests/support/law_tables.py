"""Make tables of runs that follow a law, with noise, as `florenz scaling run` would write them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


# Constant, slope of parameters and slope of samples, by group.
LAWS = {
    "unseen_captioning": (4.0, -0.3, -0.5),
    "seen_translation": (4.5, -0.25, -0.7),
    "seen_captioning": (4.2, -0.2, -0.6),
}


def make_rows(
    widths: Sequence[int] = (32, 64, 96, 160),
    steps: Sequence[int] = (250, 500, 1000, 2000),
    seeds: Sequence[int] = (0, 1),
    arm: str = "plain",
    noise: float = 0.02,
    captioned: Sequence[str] = ("en", "de"),
    grounding: float = 0.0,
) -> list[dict[str, Any]]:
    """Return rows of runs with losses from `LAWS`, 32 of them by default."""
    rng = np.random.default_rng(0)
    rows = []
    for width in widths:
        for count in steps:
            for seed in seeds:
                parameters, samples = 1_700_000 + 120 * width**2, 32 * count
                loss = {
                    group: float(10 ** (a + b * np.log10(parameters) + c * np.log10(samples) + rng.normal(0, noise)))
                    for group, (a, b, c) in LAWS.items()
                }
                rows.append(
                    {
                        "arm": arm,
                        "width": width,
                        "steps": count,
                        "seed": seed,
                        "label": "measured-here",
                        "batch_size": 32,
                        "samples": samples,
                        "grounding": grounding,
                        "captioned": list(captioned),
                        "diverged": False,
                        "parameters": {
                            "all": parameters,
                            "without_embeddings": parameters - 4096 * width,
                            "trained": parameters - 1_700_000,
                        },
                        "macs": {"forward": 30_000_000 + 100 * width**2, "trained": 3000 * width},
                        "loss": loss,
                        "losses": {"caption": dict.fromkeys(("en", "fr"), 1.0), "translate": {"fr": 1.0}},
                        "accuracy": {"direct": {}},
                        "train_loss": [[count, 1.0]],
                        "seconds": 60,
                        "core_seconds": 60,
                    }
                )
    return rows


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write rows as JSON lines; return the path."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
