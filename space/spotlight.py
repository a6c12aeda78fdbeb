"""A picture that is lit where the model looks."""

import numpy as np
from PIL import Image


LONGEST_SIDE = 640  # px of the picture shown


def shrink(image: Image.Image) -> Image.Image:
    """Return a copy no longer than `LONGEST_SIDE`."""
    copy = image.copy()
    copy.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return copy


def spotlight(image: Image.Image, heat: np.ndarray) -> Image.Image:
    """Show what is looked at in colour and the rest dark and grey, which does not depend on telling colours apart."""
    scaled = Image.fromarray(heat / max(float(heat.max()), 1e-9)).resize(image.size, Image.Resampling.BICUBIC)
    light = np.clip(np.asarray(scaled), 0, 1)[..., None] ** 0.8
    colour = np.asarray(image, np.float32)
    dark = np.asarray(image.convert("L"), np.float32)[..., None] * 0.3
    return Image.fromarray((light * colour + (1 - light) * dark).astype(np.uint8))
