"""Where the decoder looks in the image while it writes each word."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from .captioner import Captioner


@dataclass(frozen=True)
class Gaze:
    """Hold a caption, its words, and the attention (layers, words, grid, grid) of each word to the image's grid.

    The values of a word and layer sum to the share that goes to the grid; the rest goes to the image's mean token
    and to the prompt.
    """

    text: str
    words: list[str]
    maps: np.ndarray

    def over(self, word: int, layer: int | None) -> np.ndarray:
        """Return the map (grid, grid) of a word: of one layer, or the mean of the last half of them."""
        layers = self.maps[:, word].astype(np.float32)
        return layers[layer] if layer is not None else layers[len(layers) // 2 :].mean(0)


@torch.inference_mode()
def look(captioner: Captioner, image: Image.Image, language: str, task: str) -> Gaze:
    """Caption an image (greedy) and read the cross-attention, averaged over heads, that each word was written with.

    Raises:
        ValueError: the model does not know the task or language, or its attention returns no weights.
    """
    inputs = captioner.processor(images=image, task=task, language=language).to(captioner.device)
    core = captioner.model.model
    embeds, mask, features = core.merge_inputs(**inputs)
    # The encoder runs separately: asked for weights, it would not use its fast attention.
    states = core.encoder(inputs_embeds=embeds, attention_mask=mask)
    given = {"encoder_outputs": states, "attention_mask": mask}
    ids = captioner.model.generate(**given, num_beams=1, early_stopping=False, do_sample=False)
    outputs = captioner.model(**given, decoder_input_ids=ids[:, :-1], output_attentions=True, use_cache=False)
    if not outputs.cross_attentions or outputs.cross_attentions[0] is None:
        raise ValueError("this decoder returns no attention weights: load it with eager attention")
    side = math.isqrt(features.shape[1] - 1)
    # The first image token is the mean of all; the grid follows row by row.
    weights = torch.stack([layer[0, :, :, 1 : 1 + side * side].float().mean(0) for layer in outputs.cross_attentions])
    groups = group_words(captioner, ids[0].tolist())
    # Position t - 1 of the decoder writes token t.
    maps = torch.stack([weights[:, [index - 1 for index in tokens]].mean(1) for _, tokens in groups], dim=1)
    [text] = captioner.processor.decode_generated(ids)
    grids = maps.reshape(*maps.shape[:2], side, side)
    return Gaze(text, [word for word, _ in groups], grids.cpu().numpy().astype(np.float16))


def group_words(captioner: Captioner, ids: list[int]) -> list[tuple[str, list[int]]]:
    """Join tokens to words: at spaces, and in Chinese token by token. Each word has the positions of its tokens.

    Raises:
        ValueError: there is no word.
    """
    decode = captioner.processor.tokenizer.decode
    groups: list[tuple[str, list[int]]] = []
    before, waiting = "", []
    for place, token in enumerate(ids):
        if place == 0 or token in captioner.processor.tokenizer.all_special_ids:
            continue
        waiting.append(place)
        text = decode(ids[: place + 1], skip_special_tokens=True)
        piece = text[len(before) :]
        if not piece.strip() or text.endswith("\ufffd"):  # a part of a character: the next token completes it
            continue
        starts = piece[0].isspace() or before[-1:].isspace() or not groups
        wide = ord(piece.strip()[0]) > 0x2E80 or ord(before[-1:] or "a") > 0x2E80
        marks = not any(char.isalnum() for char in piece)
        if starts or (wide and not marks):
            groups.append((piece.strip(), waiting))
        else:
            groups[-1] = (groups[-1][0] + piece.rstrip(), groups[-1][1] + (waiting if not marks else []))
        before, waiting = text, []
    if not groups:
        raise ValueError("the model wrote nothing about this image: try another one")
    return groups
