"""Where the decoder looks in the image while it writes each word."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from .captioner import Captioner
from .stream import GrowingTexts, with_features
from .together import image_tokens


@dataclass(frozen=True)
class Gaze:
    """Hold a caption, its words, how sure the model was of each, and where it looked while it wrote them.

    Args:
        maps (`(layers, words, grid, grid)`): attention of each word to the image's grid. Those of a word and layer
            sum to the share that goes to the grid; the rest goes to the image's mean token and to the prompt.
        probabilities: of each word, given the words before it.
        ids: of the caption, with its begin and end.
        places: of each word, the positions of its tokens among `ids`, less one.
    """

    text: str
    words: list[str]
    maps: np.ndarray
    probabilities: list[float]
    ids: list[int]
    places: list[list[int]]

    def over(self, word: int, layer: int | None = None) -> np.ndarray:
        """Return the map (grid, grid) of a word: of one layer, or the mean of the last half of them."""
        layers = self.maps[:, word].astype(np.float32)
        return layers[layer] if layer is not None else layers[len(layers) // 2 :].mean(0)


def look(captioner: Captioner, image: Image.Image, language: str, task: str) -> Gaze:
    """Caption an image (greedy) and read where the model looks; see `look_in_languages`."""
    return look_in_languages(captioner, image, [language], task, num_beams=1)[language]


@torch.inference_mode()
def look_in_languages(
    captioner: Captioner,
    image: Image.Image,
    languages: Sequence[str],
    task: str = "caption",
    num_beams: int = 4,
    watch: Callable[[str, str], None] | None = None,
) -> dict[str, Gaze]:
    """Caption an image in several languages at once, and read what each word was written with.

    The attention is the cross-attention, averaged over heads. A decoder with another kind of attention than the eager
    one, which alone returns weights, is switched to it.

    Args:
        languages, task, num_beams: see `Captioner.caption_languages`.
        watch: called with a language and its text so far, as often as that grows; needs `num_beams=1`.

    Raises:
        ValueError: the model does not know the task or a language, writes nothing, or is of graphs.

    Example:

    ```python
    >>> gaze = look_in_languages(captioner, image, ["en"])["en"]  # doctest: +SKIP
    >>> gaze.words, gaze.over(3).shape  # doctest: +SKIP
    (['A', 'picture', 'of', 'dog,', 'bicycle', 'and', 'palm', 'tree.'], (12, 12))
    ```
    """
    core = getattr(captioner.model, "model", None)
    if core is None:
        raise ValueError("graphs of ONNX give out no attention: give the model that they were made of")
    core.decoder.set_attn_implementation("eager")
    pixels = captioner.processor(images=image, text="")["pixel_values"]
    features = image_tokens(captioner, pixels).expand(len(languages), -1, -1)
    prompts = captioner.processor(text=[captioner.processor.prompt(task, code) for code in languages])
    embeds, mask, _ = core.merge_inputs(**with_features(prompts.to(captioner.device), features))
    # The encoder runs separately: asked for weights, it would not use its fast attention.
    given = {"encoder_outputs": core.encoder(inputs_embeds=embeds, attention_mask=mask), "attention_mask": mask}
    told = {}
    if watch is not None:
        tell = watch  # known to be there
        told["streamer"] = GrowingTexts(
            captioner.processor, None, range(len(languages)), lambda row, text: tell(languages[row], text)
        )
    ids = captioner.model.generate(**given, **captioner.search(num_beams), **told)
    outputs = captioner.model(**given, decoder_input_ids=ids[:, :-1], output_attentions=True, use_cache=False)
    side = math.isqrt(features.shape[1] - 1)
    # The first image token is the mean of all; the grid follows row by row.
    weights = torch.stack([layer[..., 1 : 1 + side * side].float().mean(1) for layer in outputs.cross_attentions])
    chances = outputs.logits.float().log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
    texts = captioner.processor.decode_generated(ids)
    gazes = {}
    for row, language in enumerate(languages):
        groups = group_words(captioner, ids[row].tolist())
        # Position t - 1 of the decoder writes token t.
        places = [[index - 1 for index in tokens] for _, tokens in groups]
        maps = torch.stack([weights[:, row, tokens].mean(1) for tokens in places], dim=1)
        grids = maps.reshape(*maps.shape[:2], side, side).cpu().numpy().astype(np.float16)
        sure = [chances[row, tokens].sum().exp().item() for tokens in places]
        gazes[language] = Gaze(texts[row], [word for word, _ in groups], grids, sure, ids[row].tolist(), places)
    return gazes


@torch.inference_mode()
def probabilities_beside(
    captioner: Captioner, images: Sequence[Image.Image], gazes: Mapping[str, Gaze], task: str = "caption"
) -> list[dict[str, list[float]]]:
    """Read how sure the model would be of each word of captions, had it seen another image.

    Args:
        images: the other images.
        gazes: by language, all of one call of `look_in_languages`.
        task: that the captions were written for.

    Returns:
        For each image and language the probabilities of the caption's words.
    """
    languages = list(gazes)
    prompts = [captioner.processor.prompt(task, code) for code in languages]
    ids = torch.tensor([gaze.ids for gaze in gazes.values()], device=captioner.device)
    found = []
    for image in images:
        pixels = captioner.processor(images=image, text="")["pixel_values"]
        features = image_tokens(captioner, pixels).expand(len(languages), -1, -1)
        inputs = with_features(captioner.processor(text=prompts).to(captioner.device), features)
        logits = captioner.model(**inputs, decoder_input_ids=ids[:, :-1], use_cache=False).logits
        chances = logits.float().log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
        found.append(
            {
                language: [chances[row, tokens].sum().exp().item() for tokens in gaze.places]
                for row, (language, gaze) in enumerate(gazes.items())
            }
        )
    return found


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
