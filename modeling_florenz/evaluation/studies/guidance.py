"""Follow the image more or less, and see which readings and translations a model prefers, shown right or wrong images.

python -m modeling_florenz.evaluation.studies.guidance --output hub_cards/results/guidance.json
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from transformers.modeling_outputs import BaseModelOutputWithPooling

from ...checkpoint.loading import LoadedModel
from ...data.emoji_scenes.world import EmojiWorld
from ...inference.scoring import mean_log_probabilities
from ..scene_generation import tokens_of_images
from .study import SEED, measure_models, parse


STRENGTHS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0)
SHOWN = ("right", "grey", "another")
LANGUAGES = ("de", "fr", "zh")
PROTOCOL = (
    f"image_guidance {', '.join(f'{strength:g}' for strength in STRENGTHS)}; the model is shown the item's own image, "
    "a grey one, or that of another item; ambiguous: share of held-out pairs in which the right translation of an "
    "ambiguous word is likelier by token than the wrong one; exact: share of greedy translations of unambiguous "
    "captions that equal the reference; float32"
)


def shown_images(images: Sequence[Image.Image]) -> dict[str, list[Image.Image]]:
    """Return, by what is shown, an image for each item."""
    grey = Image.new("RGB", images[0].size, (128, 128, 128))
    return {"right": list(images), "grey": [grey] * len(images), "another": [*images[1:], images[0]]}


@torch.inference_mode()
def ambiguous(
    loaded: LoadedModel, items: Sequence[dict[str, Any]], language: str, tokens: torch.Tensor
) -> list[float]:
    """Return the share of items whose right translation is preferred, at each strength."""
    inputs = prompts(loaded, [item["source"] for item in items], language, tokens)
    states, mask = loaded.model.encode_guided(**inputs)
    texts = [[item[kind] for item in items] for kind in ("correct", "incorrect")]
    labels = [loaded.processor(text="", target=targets)["labels"] for targets in texts]
    shares = []
    for strength in STRENGTHS:
        given = {"encoder_outputs": states, "attention_mask": mask, "image_guidance": strength}
        right, wrong = (mean_log_probabilities(loaded.model(**given, labels=each).logits, each) for each in labels)
        shares.append(round((right > wrong).float().mean().item(), 4))
    return shares


@torch.inference_mode()
def exact(
    loaded: LoadedModel, sources: Sequence[str], targets: Sequence[str], language: str, tokens: torch.Tensor
) -> list[float]:
    """Return the share of translations that equal their reference, at each strength."""
    inputs = prompts(loaded, sources, language, tokens)
    shares = []
    for strength in STRENGTHS:
        ids = loaded.model.generate(
            **inputs, image_guidance=strength, do_sample=False, num_beams=1, early_stopping=False, max_new_tokens=64
        )
        texts = loaded.processor.decode_generated(ids)
        shares.append(round(sum(map(str.__eq__, texts, targets)) / len(texts), 4))
    return shares


def prompts(loaded: LoadedModel, sources: Sequence[str], language: str, tokens: torch.Tensor) -> dict[str, Any]:
    """Return the inputs of translations beside finished image tokens `(items, tokens, width)`."""
    inputs = loaded.processor(text=list(sources), task="translate", language=language)
    return {**inputs, "mm_encoder_outputs": {"image": BaseModelOutputWithPooling(pooler_output=tokens)}}


def measure(loaded: LoadedModel, count: int) -> dict[str, Any]:
    """Return by language and image shown the shares at each strength."""
    world = EmojiWorld()
    scenes = [world.scene("test", index, SEED) for index in range(count)]
    plain = {
        name: tokens_of_images(loaded.model, of) for name, of in shown_images(list(map(world.render, scenes))).items()
    }
    found: dict[str, Any] = {}
    for language in LANGUAGES:
        items = world.ambiguous_pairs(count // 2, SEED, language)
        pairs = _tokens(loaded, [item["image"] for item in items])
        sources, targets = ([world.caption(scene, code) for scene in scenes] for code in ("en", language))
        found[language] = {
            name: {
                "ambiguous": ambiguous(loaded, items, language, pairs[name]),
                "exact": exact(loaded, sources, targets, language, plain[name]),
            }
            for name in SHOWN
        }
    return {"strengths": list(STRENGTHS), "languages": found, "mean_percent": mean_percent(found)}


def mean_percent(languages: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]]) -> dict[str, Any]:
    """Return the means over languages, in per cent, by what is shown and what is measured."""
    return {
        shown: {
            kind: [
                round(100 * sum(shares) / len(shares), 1)
                for shares in zip(*(found[shown][kind] for found in languages.values()), strict=True)
            ]
            for kind in ("ambiguous", "exact")
        }
        for shown in SHOWN
    }


def _tokens(loaded: LoadedModel, images: Sequence[Image.Image]) -> dict[str, torch.Tensor]:
    return {name: tokens_of_images(loaded.model, shown) for name, shown in shown_images(images).items()}


def main() -> None:
    report = measure_models(parse(__doc__, 200), "image guidance", PROTOCOL, measure)
    for name, entry in report["models"].items():
        for language, shown in entry["languages"].items():
            for image, shares in shown.items():
                print(f"{name}, {language}, {image}: ambiguous {shares['ambiguous']}, exact {shares['exact']}")


if __name__ == "__main__":
    main()
