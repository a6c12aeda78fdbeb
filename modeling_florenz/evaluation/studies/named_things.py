"""Find the names of things in captions, and how likely a model finds each of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from transformers.modeling_outputs import BaseModelOutputWithPooling

from ...data.emoji_scenes.wording import PREFIXES
from ...data.emoji_scenes.world import EmojiWorld
from ...modeling_florenz import FlorenzForConditionalGeneration
from ...processing_florenz import FlorenzProcessor
from ..metrics.scenes import normalise


_JOINS = re.compile(r"[,、.。]|和| (?:and|und|et|y|e|и) ")
_FRAMES = tuple(PREFIXES.values())


def name_spans(text: str) -> list[tuple[int, int]]:
    """Return where the names in a caption of any language start and end, its frame left out.

    Example:

    ```python
    >>> text = "A picture of a cat and a dog"
    >>> [text[start:end] for start, end in name_spans(text)]
    ['a cat', 'a dog']
    ```
    """
    start = next((len(frame) for frame in _FRAMES if text.casefold().startswith(frame.casefold())), 0)
    spans = []
    for match in [*_JOINS.finditer(text, start), None]:
        end = len(text) if match is None else match.start()
        piece = text[start:end]
        if piece.strip():
            spans.append((start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())))
        start = end if match is None else match.end()
    return spans


class Names:
    """Know the names of the world's things in every language."""

    def __init__(self, world: EmojiWorld) -> None:
        self.languages: dict[str, set[str]] = {}
        self.things: dict[tuple[str, str], set[int]] = {}
        for index, noun in enumerate(world.nouns):
            for language, name in noun.names.items():
                self.languages.setdefault(normalise(name), set()).add(language)
                self.things.setdefault((language, normalise(name)), set()).add(index)

    def speaks(self, text: str, language: str) -> bool:
        """Return whether a caption has a name of the world, and all that it has are of the language."""
        known = [self.languages[name] for name in self._names(text) if name in self.languages]
        return bool(known) and all(language in found for found in known)

    def means(self, name: str, language: str, nouns: Sequence[int]) -> bool:
        """Return whether a name in a language is of one of the things, by index."""
        return bool(self.things.get((language, normalise(name)), set()) & set(nouns))

    def _names(self, text: str) -> list[str]:
        return [normalise(text[start:end]) for start, end in name_spans(text)]


@dataclass(frozen=True)
class NameScores:
    """Hold of each caption, name by name, the log-probability in nats and what the cross-attention rests on."""

    log_probabilities: list[list[float]]
    attention: list[torch.Tensor]  # of a caption, (names, grid cells): mean over tokens, heads and layers


@torch.inference_mode()
def score_names(
    model: FlorenzForConditionalGeneration,
    processor: FlorenzProcessor,
    image_features: torch.Tensor,
    language: str,
    captions: Sequence[str],
    attention: bool = False,
) -> NameScores:
    """Score the names in given captions of images.

    Args:
        image_features: image tokens `(captions, tokens, width)`: the mean of all, then the grid row by row.
        attention: read the cross-attention too; the model must have been loaded with eager attention.
    """
    grey = Image.new("RGB", (32, 32), (128, 128, 128))
    found, looks = [], []
    for start in range(0, len(captions), 50):
        texts = list(captions[start : start + 50])
        # The grey image stands in for the computed features: a caption needs one.
        inputs = processor(images=grey, task="caption", language=[language] * len(texts), target=texts, image_size=32)
        del inputs["pixel_values"]
        labels = inputs["labels"]
        shown = {"image": BaseModelOutputWithPooling(pooler_output=image_features[start : start + 50])}
        outputs = model(**inputs.to(model.device), mm_encoder_outputs=shown, output_attentions=attention)
        chosen = outputs.logits.float().log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0]
        cells = image_features.shape[1]
        layers = [layer[..., 1:cells].float().mean(1) for layer in outputs.cross_attentions] if attention else []
        weights = torch.stack(layers).mean(0) if layers else chosen[..., None]
        for row, text in enumerate(texts):
            places = _token_places(processor, text, labels[row])
            found.append([float(chosen[row, tokens].sum()) for tokens in places])
            looks.append(torch.stack([weights[row, tokens].mean(0) for tokens in places] or [torch.empty(0)]))
    return NameScores(found, looks)


def _token_places(processor: FlorenzProcessor, text: str, labels: torch.Tensor) -> list[list[int]]:
    """Return, name by name, the positions in the labels of the tokens that hold a part of it."""
    encoded = processor.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
    first = next(
        place for place in range(len(labels)) if labels[place : place + len(ids)].tolist() == list(ids)
    )  # after the begin token
    return [
        [first + place for place, (left, right) in enumerate(offsets) if left < end and right > start]
        for start, end in name_spans(text)
    ]
