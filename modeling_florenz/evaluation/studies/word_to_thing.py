"""Take things out of an image one by one: the word that suffers most should be the one that names what is gone.

python -m modeling_florenz.evaluation.studies.word_to_thing --output hub_cards/results/word-to-thing.json
"""

from statistics import mean
from typing import Any

import torch

from ...checkpoint.loading import LoadedModel
from ...data.emoji_scenes.wording import LANGUAGES
from ...data.emoji_scenes.world import EmojiWorld, Scene
from ...modeling_florenz import FlorenzForConditionalGeneration
from ..scene_generation import image_tokens, tokens_of_images
from .named_things import score_names
from .study import SCENES, SEED, measure_models, parse


PROTOCOL = (
    f"{SCENES}; the world draws each scene again without one of its things, all else the same; right: share of "
    "things whose name, of all names in the world's own caption, loses most log-probability; attention: share of "
    "things whose part of the image gets, of the parts of all things, most cross-attention while its name is written, "
    "mean of heads and layers; chance: mean of one over the number of things; untrained: the same model with random "
    "weights"
)


def measure(loaded: LoadedModel, count: int) -> dict[str, Any]:
    """Return by language the shares of things that are found, of the model and of one that is not trained."""
    torch.manual_seed(0)
    untrained = FlorenzForConditionalGeneration(loaded.model.config)
    for layer in untrained.model.decoder.layers:
        torch.nn.init.constant_(layer.cross_attn_gate.weight, 1.0)  # closed gates would hide the image
    shares = {
        "trained": share_found(loaded, count),
        "untrained": share_found(LoadedModel(untrained.eval(), loaded.processor), count),
    }
    return {"shares": shares}


def share_found(loaded: LoadedModel, count: int) -> dict[str, dict[str, float]]:
    """Return by language `right`, `attention`, `chance` and the number of `things`."""
    model, world = loaded.model, EmojiWorld()
    model.set_attn_implementation("eager")  # the others return no weights
    scenes = [world.scene("test", index, SEED) for index in range(count)]
    places = [(row, gone) for row, scene in enumerate(scenes) for gone in range(len(scene.nouns))]
    whole = image_tokens(model, world, scenes)
    less = tokens_of_images(model, [world.render(scenes[row], [gone]) for row, gone in places])
    side = round((whole.shape[1] - 1) ** 0.5)
    areas = [thing_areas(world, scene, side) for scene in scenes]
    found = {}
    for language in LANGUAGES:
        captions = [world.caption(scene, language) for scene in scenes]
        before = score_names(model, loaded.processor, whole, language, captions, attention=True)
        after = score_names(model, loaded.processor, less, language, [captions[row] for row, _ in places])
        right, looked = [], []
        for (row, gone), values in zip(places, after.log_probabilities, strict=True):
            falls = torch.tensor(before.log_probabilities[row]) - torch.tensor(values)
            right.append(float(falls.argmax() == gone))
            looked.append(float((areas[row] @ before.attention[row][gone]).argmax() == gone))
        found[language] = {
            "right": mean(right),
            "attention": mean(looked),
            "chance": mean(1 / len(scenes[row].nouns) for row, _ in places),
            "things": len(places),
        }
    return found


def thing_areas(world: EmojiWorld, scene: Scene, side: int) -> torch.Tensor:
    """Return what share of each cell of a grid a thing's square covers, `(things, side * side)`."""
    edges = torch.arange(side + 1) * world.image_size / side
    areas = []
    for left, top, size in world.layout(scene):
        across, down = (
            (edges[1:].clamp(max=start + size) - edges[:-1].clamp(min=start)).clamp(min=0) * side / world.image_size
            for start in (left, top)
        )
        areas.append((down[:, None] * across).flatten())
    return torch.stack(areas)


def main() -> None:
    report = measure_models(parse(__doc__, 200), "word to thing", PROTOCOL, measure)
    for name, kinds in report["models"].items():
        for kind, found in kinds["shares"].items():
            for language, row in found.items():
                print(
                    f"{name}, {kind}, {language}: {row['right']:.3f} of {row['things']} things, by attention "
                    f"{row['attention']:.3f}, chance {row['chance']:.3f}"
                )


if __name__ == "__main__":
    main()
