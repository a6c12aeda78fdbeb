"""Cover more and more of a thing, and see whether a model is as sure of the names it writes as it is right.

python -m modeling_florenz.evaluation.studies.calibration --output hub_cards/results/calibration.json
"""

import math
from collections.abc import Sequence
from typing import Any

from PIL import Image

from ...checkpoint.loading import LoadedModel
from ...data.emoji_scenes.wording import LANGUAGES
from ...data.emoji_scenes.world import EmojiWorld, Scene
from ..scene_generation import generate, tokens_of_images
from .named_things import Names, name_spans, score_names
from .study import SCENES, SEED, measure_models, parse


COVERED = (0.0, 0.25, 0.5, 0.75, 1.0)
BINS = 10
PROTOCOL = (
    f"{SCENES}; of one thing of each scene, the shares {', '.join(f'{share:g}' for share in COVERED)} are covered by "
    "background, from the left; greedy captions, at most 64 new tokens; of each name written, confidence is the "
    "product of its tokens' probabilities, and it is right if it names, in the asked language, a thing of the scene, "
    f"covered or not; ECE: expected calibration error over {BINS} bins of equal width"
)


def cover(world: EmojiWorld, scene: Scene, thing: int, share: float) -> Image.Image:
    """Draw a scene with a share of a thing, by its position, covered by background, from the left."""
    image, bare = world.render(scene), world.render(scene, [thing])
    left, top, size = world.layout(scene)[thing]
    box = (left, top, left + round(share * size), top + size)
    image.paste(bare.crop(box), box[:2])
    return image


def reliability(confidences: Sequence[float], right: Sequence[bool]) -> dict[str, Any]:
    """Return the expected calibration error and, bin by bin, the names, their confidence and their share right.

    Example:

    ```python
    >>> reliability([0.95, 0.95, 0.95, 0.95], [True, True, True, False])["ece"]
    0.2
    ```
    """
    bins, error = [], 0.0
    for place in range(BINS):
        chosen = [
            (sure, good)
            for sure, good in zip(confidences, right, strict=True)
            if min(int(sure * BINS), BINS - 1) == place
        ]
        if chosen:
            sure = sum(value for value, _ in chosen) / len(chosen)
            good = sum(value for _, value in chosen) / len(chosen)
            bins.append({"names": len(chosen), "confidence": sure, "right": good})
            error += len(chosen) * abs(sure - good)
    return {"names": len(right), "ece": round(error / max(len(right), 1), 6), "bins": bins}


def measure(loaded: LoadedModel, count: int) -> dict[str, Any]:
    """Return by language the reliability of names at each share covered, and over all of them."""
    world = EmojiWorld()
    names = Names(world)
    scenes = [world.scene("test", index, SEED) for index in range(count)]
    tokens = {
        share: tokens_of_images(
            loaded.model,
            [cover(world, scene, index % len(scene.nouns), share) for index, scene in enumerate(scenes)],
        )
        for share in COVERED
    }
    found: dict[str, Any] = {}
    for language in LANGUAGES:
        sure: dict[float, list[float]] = {}
        right: dict[float, list[bool]] = {}
        for share, image in tokens.items():
            texts = generate(loaded.model, loaded.processor, image, "caption", [language] * count)
            scores = score_names(loaded.model, loaded.processor, image, language, texts).log_probabilities
            sure[share] = [math.exp(value) for row in scores for value in row]
            right[share] = [
                names.means(text[start:end], language, scene.nouns)
                for text, scene in zip(texts, scenes, strict=True)
                for start, end in name_spans(text)
            ]
        found[language] = {
            "all": reliability([value for each in sure.values() for value in each], sum(right.values(), [])),
            "covered": {f"{share:g}": reliability(sure[share], right[share]) for share in COVERED},
        }
    return {"languages": found}


def main() -> None:
    report = measure_models(parse(__doc__, 200), "calibration of names", PROTOCOL, measure)
    for name, entry in report["models"].items():
        for language, found in entry["languages"].items():
            steps = ", ".join(f"{share}: {row['ece']:.3f}" for share, row in found["covered"].items())
            print(f"{name}, {language}: ECE {found['all']['ece']:.3f}; by share covered {steps}")


if __name__ == "__main__":
    main()
