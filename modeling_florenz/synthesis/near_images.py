"""Find images that are another image resized, compressed or cropped a little."""

import tempfile
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from PIL import Image

from ..extras import install_command


_SIDE = 32
_BITS = 12  # of the 64 of a perceptual hash, for a candidate
# Correlation of 32 x 32 grey pixels. The hash alone would take scenes on one background for each other.
_SAME = 0.9
_CROP, _PLACES = 0.05, 5  # cropped by so much, at so many places across and down
_ENOUGH = 256  # pixels of the longer side; more do not change what 32 show


def signature(image: Image.Image) -> tuple[bytes, bytes]:
    """Return the perceptual hash of an image, 8 bytes, and its 32 x 32 grey pixels, 1,024 bytes.

    Raises:
        ValueError: imagehash is not installed.
    """
    try:
        import imagehash
    except ImportError:
        raise ValueError(f"comparing images needs imagehash: {install_command('synthesis')}") from None
    grey = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return np.packbits(imagehash.phash(grey).hash.ravel()).tobytes(), grey.tobytes()


def cropped_signatures(image: Image.Image) -> list[tuple[bytes, bytes]]:
    """Return the signature of an image, and those of it cropped by 5 % of width and height at 25 places."""
    found = [signature(image)]
    small = image.convert("L")
    small.thumbnail((_ENOUGH, _ENOUGH), Image.Resampling.LANCZOS)
    width, height = small.width * (1 - _CROP), small.height * (1 - _CROP)
    steps = [number / (_PLACES - 1) for number in range(_PLACES)]
    for left, top in product(steps, steps):
        corner = (left * (small.width - width), top * (small.height - height))
        box = (*corner, corner[0] + width, corner[1] + height)
        found.append(signature(small.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS, box=box)))
    return found


class NearImages:
    """Hold signatures of images by name; their pixels wait in a temporary file, as few are ever compared.

    Example:

    ```python
    >>> image = Image.linear_gradient("L").rotate(90)
    >>> near = NearImages()
    >>> near.add([(*signature(image), "a gradient")])
    >>> near.find(*signature(image.resize((100, 100))))
    'a gradient'
    ```
    """

    def __init__(self) -> None:
        self._index: Any = _faiss().IndexBinaryFlat(64)
        self._greys: Any = tempfile.TemporaryFile()  # noqa: SIM115, closed with the index
        self._names: list[str] = []

    def __len__(self) -> int:
        return len(self._names)

    def add(self, entries: Sequence[tuple[bytes, bytes, str]]) -> None:
        """Add images: hash, grey pixels and name of each."""
        if entries:
            self._index.add(_array([entry[0] for entry in entries]))
            self._greys.seek(len(self._names) * _SIDE * _SIDE)
            self._greys.writelines(entry[1] for entry in entries)
            self._names += [entry[2] for entry in entries]

    def find(self, hash_: bytes, grey: bytes) -> str | None:
        """Return the name of the first image that this one is another version of, or None."""
        if not self._names:
            return None
        _, _, found = self._index.range_search(_array([hash_]), _BITS + 1)
        for number in sorted(found.tolist()):
            self._greys.seek(number * _SIDE * _SIDE)
            if _alike(self._greys.read(_SIDE * _SIDE), grey):
                return self._names[number]
        return None


def _alike(first: bytes, second: bytes) -> bool:
    a, b = (np.frombuffer(grey, np.uint8).astype(np.float64) for grey in (first, second))
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    if scale == 0:  # one of them is of one colour
        return first == second
    return bool(a @ b >= _SAME * scale)


def _array(hashes: Sequence[bytes]) -> np.ndarray[Any, Any]:
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(len(hashes), 8)


def _faiss() -> Any:
    try:
        import faiss
    except ImportError:
        raise ValueError(f"comparing images needs faiss: {install_command('synthesis')}") from None
    return faiss
