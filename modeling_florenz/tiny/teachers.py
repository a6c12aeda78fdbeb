"""Lay the registered runs of `hub_cards/studies/teachers.yaml` side by side and decide their bars.

    python -m modeling_florenz.tiny.teachers runs/evaluated --output hub_cards/results/teachers.json

The folder holds what `florenz evaluate --output` wrote: `teacher`, and for each seed `student-0`, `plain-0`,
`distilled-0`, and `base-0-on`, `base-0-blank`, `base-0-shuffled`, `dpo-0-on`, `dpo-0-blank`, `dpo-0-shuffled`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from ..resumable import write_json
from ..run_record import run_record


SEEDS, IMAGES = (0, 1), ("on", "blank", "shuffled")
KEPT, RISE, CHANCE = 0.9, 5.0, (47.0, 53.0)  # the registered bars


def read_mean(folder: Path, measure: str) -> float:
    """Return a mean over languages from an evaluation of emoji scenes, in per cent.

    Raises:
        ValueError: the evaluation is not there.
    """
    path = folder / "emoji_scenes.json"
    if not path.is_file():
        raise ValueError(f"{path} is missing: evaluate that run first")
    return round(json.loads(path.read_text(encoding="utf-8"))["aggregate"][measure], 2)


def compare(folder: Path) -> dict[str, Any]:
    """Read all evaluations; return them with both verdicts."""
    teacher = read_mean(folder / "teacher", "caption exact")
    captions = {
        arm: [read_mean(folder / f"{arm}-{seed}", "caption exact") for seed in SEEDS]
        for arm in ("student", "plain", "distilled")
    }
    readings = {
        arm: {
            image: [read_mean(folder / f"{arm}-{seed}-{image}", "ambiguous accuracy") for seed in SEEDS]
            for image in IMAGES
        }
        for arm in ("base", "dpo")
    }
    kept = zip(captions["plain"], captions["distilled"], strict=True)
    rises = zip(readings["base"]["on"], readings["dpo"]["on"], strict=True)
    low, high = CHANCE
    return {
        "distillation": {
            "exact captions": {"teacher": teacher, **captions},
            "holds": all(plain < KEPT * teacher <= distilled for plain, distilled in kept),
        },
        "preference": {
            "right readings": readings,
            "holds": all(after >= before + RISE for before, after in rises)
            and all(low <= value <= high for value in readings["dpo"]["blank"]),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    found = compare(arguments.folder)
    name = "Distillation and preference on emoji scenes"
    protocol = "hub_cards/studies/teachers.yaml; per cent, means over languages, one number for each seed"
    write_json(
        arguments.output, {"name": name, "label": "measured-here", "protocol": protocol, **found, **run_record()}
    )
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
