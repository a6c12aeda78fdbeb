"""What a page shows of a picture: the picture itself, small enough, and captions whose words know their places."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ...data.image_inputs import ImageInput
from ...data.images import open_image
from ..attention import Gaze, look_in_languages
from ..captioner import Captioner


# Longest side in pixels, by the number of pictures that a page holds, so that it stays small enough to open.
_SIDES = ((1, 1600), (60, 1024), (math.inf, 512))
# The bundled model's mean certainty of its words is below this for photos, and for 1 of 200 new emoji scenes.
UNKNOWN_BELOW = 0.92
UNKNOWN = "This model knows emoji scenes and nothing else. Of this picture, its words probably mean nothing."
# Languages by their own names, which those who read them look for.
OWN_NAMES = {
    "de": "Deutsch",
    "en": "English",
    "es": "Español",
    "fr": "Français",
    "it": "Italiano",
    "ru": "Русский",
    "zh": "中文",
}


@dataclass(frozen=True)
class Word:
    """Hold a word of a caption.

    Args:
        before: what stands between it and the word before.
        probability: how sure the model was of it, given the words before it.
        share: of its attention that went to places of the image.
        strength: its brightest place beside that of the caption's brightest word, from 0 to 1.
        places (`(grid, grid)`, bytes): where it looked; 255 is the caption's brightest place.
    """

    before: str
    text: str
    probability: float
    share: float
    strength: float
    places: np.ndarray


@dataclass(frozen=True)
class Saying:
    """Hold a caption in one language, and the geometric mean of its words' probabilities."""

    language: str
    text: str
    words: list[Word]
    certainty: float


@dataclass(frozen=True)
class Exhibit:
    """Hold a picture with its captions.

    Args:
        picture: as it is shown, a WebP file.
        shown: width and height of that.
        size: width and height of the original.
        is_unknown: whether the model probably does not know pictures of this kind.
    """

    name: str
    picture: bytes
    shown: tuple[int, int]
    size: tuple[int, int]
    sayings: list[Saying]
    is_unknown: bool


def make_exhibit(
    captioner: Captioner,
    image: ImageInput,
    languages: Sequence[str],
    task: str = "caption",
    num_beams: int = 4,
    pictures: int = 1,
) -> Exhibit:
    """Caption an image in several languages, and keep what a page shows of it.

    Args:
        languages, task, num_beams: see `Captioner.caption_languages`.
        pictures: of the page; the more there are, the smaller they are kept.

    Raises:
        ValueError: the image cannot be read, or the model writes nothing about it.
    """
    try:
        original = open_image(io.BytesIO(image.read()), image.name)
    except OSError:
        original = open_image(image.path or image.name, image.name)  # says what is wrong with the file
    gazes = look_in_languages(captioner, original, languages, task, num_beams)
    sayings = [as_saying(language, gaze) for language, gaze in gazes.items()]
    certainty = float(np.mean([saying.certainty for saying in sayings]))
    shown = original.copy()
    side = next(side for most, side in _SIDES if pictures <= most)
    shown.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    shown.save(file, "WEBP", quality=84)
    unknown = captioner.is_bundled and certainty < UNKNOWN_BELOW
    return Exhibit(image.name, file.getvalue(), shown.size, original.size, sayings, unknown)


def as_saying(language: str, gaze: Gaze) -> Saying:
    """Put a caption's words on one scale."""
    maps = [gaze.over(index) for index in range(len(gaze.words))]
    brightest = max(float(places.max()) for places in maps) or 1.0
    words, end = [], 0
    for text, probability, places in zip(gaze.words, gaze.probabilities, maps, strict=True):
        start = gaze.text.find(text, end)
        before = gaze.text[end:start] if start >= 0 else " "
        end = start + len(text) if start >= 0 else end
        scaled = (places / brightest * 255).round().astype(np.uint8)
        words.append(Word(before, text, probability, float(places.sum()), float(places.max()) / brightest, scaled))
    certainty = math.exp(sum(math.log(max(word.probability, 1e-9)) for word in words) / len(words))
    return Saying(language, gaze.text, words, certainty)
