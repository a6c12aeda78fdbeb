"""Compare models that learned to translate from the world of the scenes and from a dataset synthesized of it.

    python -m modeling_florenz.tiny.synthesized untrained runs/untrained
    python -m modeling_florenz.tiny.synthesized compare runs/world runs/dataset --languages it --output RESULTS.json

The first command writes the model that both may start from; how they are trained and what is asked of them is in
`hub_cards/studies/synthesized.yaml`.
"""

import argparse
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from ..checkpoint.loading import BUNDLED_NAME, load, load_model, load_processor
from ..data.emoji_scenes.world import EmojiWorld
from ..evaluation.metrics.scenes import normalise
from ..evaluation.scene_generation import generate, image_tokens
from ..resumable import write_json
from ..run_record import run_record
from .evaluate import SEED
from .model import WIDTH, build_model, export


MARGIN, LOWEST = 0.02, 0.5  # how much less is as good, and from where on the comparison says something


def write_untrained(folder: Path, width: int = WIDTH, seed: int = 0) -> None:
    """Write the shape of `florenz-tiny` with its trained vision tower, and encoder and decoder as they begin.

    Args:
        folder: a new one.
        width: of encoder and decoder, a multiple of 32.
        seed: of their weights.
    """
    torch.manual_seed(seed)
    processor = load_processor(BUNDLED_NAME)
    model = build_model(processor, width)
    model.model.vision_tower.load_state_dict(load_model(BUNDLED_NAME).model.vision_tower.state_dict())
    export(model, processor, folder)


def translations(folder: Path, languages: list[str], scenes: int) -> dict[str, float]:
    """Return the share of captions of held-out scenes that a model translates to the letter, by language."""
    florenz = load(folder, device="cuda" if torch.cuda.is_available() else "cpu")
    world = EmojiWorld()
    shown = [world.scene("test", index, SEED) for index in range(scenes)]
    sources = [world.caption(scene, "en") for scene in shown]
    image = image_tokens(florenz.model, world, shown)
    found = {}
    for language in languages:
        texts = generate(florenz.model, florenz.processor, image, "translate", [language] * scenes, sources)
        exact = [
            normalise(text) == normalise(world.caption(scene, language))
            for text, scene in zip(texts, shown, strict=True)
        ]
        found[language] = round(mean(map(float, exact)), 4)
    return found


def compare(world: dict[str, float], dataset: dict[str, float]) -> dict[str, Any]:
    """Return both means, and whether the second is as good as the first; None where the first is too low to tell."""
    means = {"world": round(mean(world.values()), 4), "dataset": round(mean(dataset.values()), 4)}
    as_good = means["dataset"] >= means["world"] - MARGIN if means["world"] >= LOWEST else None
    return {"exact": {"world": world, "dataset": dataset}, "mean": means, "as_good": as_good}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="what")
    untrained = commands.add_parser("untrained")
    untrained.add_argument("folder", type=Path)
    untrained.add_argument("--width", type=int, default=WIDTH)
    untrained.add_argument("--seed", type=int, default=0)
    compared = commands.add_parser("compare")
    compared.add_argument("world", type=Path, help="model folder of the run on the world")
    compared.add_argument("dataset", type=Path, help="model folder of the run on the dataset")
    compared.add_argument("--languages", nargs="+", required=True)
    compared.add_argument("--scenes", type=int, default=500)
    compared.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.what == "untrained":
        write_untrained(arguments.folder, arguments.width, arguments.seed)
        return
    found = compare(
        *(translations(path, arguments.languages, arguments.scenes) for path in (arguments.world, arguments.dataset))
    )
    write_json(arguments.output, {"scenes": arguments.scenes, **run_record(), **found})
    print(found["mean"], found["as_good"])


if __name__ == "__main__":
    main()
