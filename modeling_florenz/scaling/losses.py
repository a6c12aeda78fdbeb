"""Measure the held-out loss of captions and translations, language by language."""

from collections.abc import Sequence

import torch
from PIL import Image
from transformers.modeling_outputs import BaseModelOutputWithPooling

from ..data.emoji_scenes.wording import LANGUAGES
from ..data.emoji_scenes.world import EmojiWorld, Scene
from ..modeling_florenz import FlorenzForConditionalGeneration
from ..processing_florenz import FlorenzProcessor


@torch.inference_mode()
def held_out_losses(
    model: FlorenzForConditionalGeneration,
    processor: FlorenzProcessor,
    world: EmojiWorld,
    scenes: Sequence[Scene],
    image_features: torch.Tensor,
    batch_size: int = 100,
) -> dict[str, dict[str, float]]:
    """Return the mean cross-entropy of a target token, the end included, in nats.

    Args:
        image_features: image tokens `(scenes, tokens, width)`.

    Returns:
        losses by task (`caption`, `translate`) and language.
    """
    model.eval()
    grey = Image.new("RGB", (32, 32), (128, 128, 128))

    def loss(task: str, language: str) -> float:
        total, count = 0.0, 0
        for start in range(0, len(scenes), batch_size):
            batch = scenes[start : start + batch_size]
            inputs = processor(
                images=grey,  # stands in for the computed features: a caption needs an image
                text=[world.caption(scene, "en") for scene in batch] if task == "translate" else None,
                task=task,
                language=[language] * len(batch),
                target=[world.caption(scene, language) for scene in batch],
                image_size=32,
            )
            del inputs["pixel_values"]
            shown = {"image": BaseModelOutputWithPooling(pooler_output=image_features[start : start + batch_size])}
            tokens = int((inputs["labels"] != -100).sum())
            total += tokens * model(**inputs.to(model.device), mm_encoder_outputs=shown).loss.item()
            count += tokens
        return total / count

    return {
        "caption": {language: loss("caption", language) for language in LANGUAGES},
        "translate": {language: loss("translate", language) for language in LANGUAGES if language != "en"},
    }


def group_losses(losses: dict[str, dict[str, float]], captioned: Sequence[str]) -> dict[str, float]:
    """Return the means over languages of the three groups that the paper tells apart.

    Args:
        losses: see `held_out_losses`.
        captioned: languages whose captions are in training.

    Example:

    ```python
    >>> losses = {"caption": {"en": 0.5, "fr": 2.0}, "translate": {"fr": 0.25}}
    >>> group_losses(losses, ["en"])
    {'unseen_captioning': 2.0, 'seen_translation': 0.25, 'seen_captioning': 0.5}
    ```
    """
    groups = {
        "unseen_captioning": [loss for language, loss in losses["caption"].items() if language not in captioned],
        "seen_translation": list(losses["translate"].values()),
        "seen_captioning": [loss for language, loss in losses["caption"].items() if language in captioned],
    }
    return {group: sum(found) / len(found) for group, found in groups.items()}
