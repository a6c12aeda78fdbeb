"""Store the output of a frozen vision tower for each image on disk: one that comes again is not even opened."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..resumable import whole_file


class FeatureCache:
    """Read and write image tokens by the files or the pixels they came from.

    Args:
        folder: one file per image goes there; 577 tokens of width 1024 are 2.4 MB in float32.
        model: digest of what computes the tokens, so that two models never share an entry.
        image_size: side of the input square in px.

    Example:

    ```python
    >>> import tempfile
    >>> cache = FeatureCache(Path(tempfile.mkdtemp()), "1f0c", 96)
    >>> key = cache.key(Image.new("RGB", (4, 4)))
    >>> cache.write([key], torch.ones(1, 10, 160))
    >>> cache.read(key).shape
    torch.Size([10, 160])
    ```
    """

    def __init__(self, folder: Path, model: str, image_size: int | None) -> None:
        self.folder, self.salt = folder, f"{model}/{image_size}".encode()

    def key(self, image: Image.Image) -> str:
        """Name an image by its pixels."""
        shape = f"{image.mode}/{image.size}".encode()
        return hashlib.sha256(self.salt + shape + image.tobytes()).hexdigest()

    def key_of_file(self, name: str) -> str:
        """Name an image by what stands for it unread, such as path, size and time of its file."""
        return hashlib.sha256(self.salt + b"file/" + name.encode("utf-8", "surrogateescape")).hexdigest()

    def read(self, key: str) -> torch.Tensor | None:
        """Return the image tokens `(tokens, width)` of a key, or None if they are missing or broken."""
        try:
            return load_file(self._path(key))["features"]
        except (OSError, SafetensorError, KeyError):
            return None

    def write(self, keys: Sequence[str], features: torch.Tensor) -> None:
        """Store the image tokens `(images, tokens, width)`; a file is complete or absent."""
        for key, tokens in zip(keys, features.detach().cpu(), strict=True):
            with whole_file(self._path(key)) as partial:
                save_file({"features": tokens.contiguous()}, partial)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"
