"""Train a run on scenes whose tower features are already computed."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import Dataset
from transformers import Trainer
from transformers.modeling_outputs import BaseModelOutputWithPooling

from ..data.emoji_scenes.coverage import Coverage
from ..data.emoji_scenes.world import EmojiWorld
from ..processing_florenz import FlorenzProcessor


class SceneTexts(Dataset):
    """Return training example `i` of the world with the tower's features of its scene, or of another scene."""

    def __init__(
        self, world: EmojiWorld, coverage: Coverage, seed: int, features: np.ndarray, other_image: bool = False
    ) -> None:
        self.world, self.coverage, self.seed = world, coverage, seed
        self.features, self.other_image = features, other_image

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self.world.training_texts(index, self.coverage, self.seed)
        wrong = self.other_image and row["task"] == "translate"
        shown = (index + len(self) // 2) % len(self) if wrong else index
        return {**row, "features": self.features[shown]}


@dataclass
class FeatureCollator:
    """Turn rows with `features` into a batch; with `align`, also with caption prompts for translated images.

    A batch holds `tower_features` `(batch, channels, grid, grid)` and, with `align`, `source_mask` `(batch, prompt)`,
    which marks the words of the source, and `caption_ids` and `caption_mask` `(batch, prompt)`.
    """

    processor: FlorenzProcessor
    align: bool = False
    _grey: Image.Image = field(default_factory=lambda: Image.new("RGB", (32, 32), (128, 128, 128)))

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        batch = dict(
            self.processor(
                images=self._grey,  # stands in for the computed features: a caption needs an image
                text=[row["source"] for row in rows],
                task=[row["task"] for row in rows],
                language=[row["language"] for row in rows],
                target=[row["target"] for row in rows],
                image_size=32,
            )
        )
        del batch["pixel_values"]
        batch["tower_features"] = torch.from_numpy(np.stack([row["features"] for row in rows])).float()
        if self.align:
            batch |= self._alignment(rows, batch["attention_mask"])
        return batch

    def _alignment(self, rows: list[dict[str, Any]], attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        encode = self.processor.encoder_tokenizer
        source_mask = torch.zeros_like(attention_mask)
        for row, marks, length in zip(rows, source_mask, attention_mask.sum(1).tolist(), strict=True):
            if row["source"]:
                prompt = self.processor.prompt(row["task"], row["language"], row["source"])
                before = prompt.removesuffix(row["source"]).rstrip()
                # The begin token and the instruction come first, the end token last.
                marks[1 + len(encode(before, add_special_tokens=False)["input_ids"]) : length - 1] = 1
        prompts = self.processor(
            images=self._grey, task="caption", language=[row["language"] for row in rows], image_size=32
        )
        return {
            "source_mask": source_mask,
            "caption_ids": prompts["input_ids"],
            "caption_mask": prompts["attention_mask"],
        }


def alignment_loss(words: torch.Tensor, marks: torch.Tensor, image: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return how far the states of the source's words are from what attention can find among the image's states.

    Args:
        words: encoder states `(rows, prompt, width)` under the translation prompt; no gradient flows into them.
        marks: which of them are words of the source, `(rows, prompt)`.
        image: states of the image tokens `(rows, image, width)` under the caption prompt.
        temperature: of the attention over cosines.

    Returns:
        mean of one minus the cosine over all marked words, from 0 to 2; 0 where nothing is marked.
    """
    words = nn.functional.normalize(words.detach(), dim=-1)
    image = nn.functional.normalize(image, dim=-1)
    weights = (words @ image.transpose(1, 2) / temperature).softmax(-1)
    found = nn.functional.normalize(weights @ image, dim=-1)
    distance = 1 - (words * found).sum(-1)
    return (distance * marks).sum() / marks.sum().clamp(min=1)


class SceneTrainer(Trainer):
    """Train on batches of tower features; `alignment` weighs the alignment loss."""

    def __init__(self, *args: Any, alignment: float = 0.0, temperature: float = 0.1, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.alignment, self.temperature = alignment, temperature

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        inputs = dict(inputs)
        image = model.model.multi_modal_projector(inputs.pop("tower_features"))
        shown = {"image": BaseModelOutputWithPooling(pooler_output=image)}
        if not self.alignment:
            return super().compute_loss(model, inputs | {"mm_encoder_outputs": shown}, *args, **kwargs)
        marks = inputs.pop("source_mask")
        prompts = {"input_ids": inputs.pop("caption_ids"), "attention_mask": inputs.pop("caption_mask")}
        loss, outputs = super().compute_loss(model, inputs | {"mm_encoder_outputs": shown}, True, **kwargs)
        embeddings, mask, _ = model.model.merge_inputs(**prompts, mm_encoder_outputs=shown)
        seen = model.model.encoder(inputs_embeds=embeddings, attention_mask=mask).last_hidden_state
        tokens = image.shape[1]
        words = outputs.encoder_last_hidden_state[:, tokens:]
        return loss + self.alignment * alignment_loss(words, marks, seen[:, :tokens], self.temperature)
