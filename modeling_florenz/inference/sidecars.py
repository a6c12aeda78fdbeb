"""Keep captions as text files beside their images, as the tools that train image generators read them."""

import os
from dataclasses import replace
from pathlib import Path

from ..data.image_inputs import ImageInput
from ..resumable import DISK_FULL, write_text
from .block_writer import Captions
from .bulk import CaptionedImage
from .kept_captions import Wrapped


class Sidecars:
    """Write `photo.txt` beside `photo.jpg`; `photo.fr.txt` where several languages are asked for.

    Files that are there are kept, whoever wrote them. An image that has all of its files is done.

    Args:
        keys: tasks and languages that every image gets.
        wrapped: words around every caption.
        overwrite: write files that are there again.
    """

    def __init__(self, keys: list[tuple[str, str]], wrapped: Wrapped, overwrite: bool = False) -> None:
        self.keys, self.wrapped, self.overwrite = keys, wrapped, overwrite
        self._owners: dict[Path, str] = {}

    def has(self, image: ImageInput) -> bool:
        """Return whether an image is there and all of its files.

        Raises:
            ValueError: it is not a file, another image has the same files, or what would be replaced is not a text.
        """
        if image.path is None:
            raise ValueError(f"{image.name} is not a file, so a text cannot be put beside it: use --output")
        paths = list(self._paths(image.path).values())
        owner = self._owners.setdefault(paths[0], image.name)
        if owner != image.name:
            raise ValueError(f"{image.name} would share {paths[0].name} with {owner}: rename one of them")
        if not image.path.is_file():
            return False  # reading it says why
        there = [path for path in paths if os.path.exists(path)]
        for path in there:
            if path.samefile(image.path) or path.is_dir() or (self.overwrite and not _is_text(path)):
                raise ValueError(f"{path.name}, where the caption of {image.name} would be, is not a text: rename it")
        return not self.overwrite and len(there) == len(paths)

    def captions_of(self, content: str) -> Captions | None:
        """Return None: text files do not say what they were made of."""
        return None

    def add(self, block: list[CaptionedImage]) -> list[CaptionedImage]:
        """Write the files of images that were captioned; return the images, some with a problem then.

        Raises:
            OSError: the disk is full.
        """
        return [self._write(image) for image in block]

    def _write(self, image: CaptionedImage) -> CaptionedImage:
        if image.problem is not None or image.kept or image.image.path is None:
            return image
        paths = self._paths(image.image.path)
        try:
            for key, text in self.wrapped.around(image.captions).items():
                if self.overwrite or not os.path.exists(paths[key]):
                    write_text(paths[key], text + "\n")
        except OSError as error:
            if error.errno in DISK_FULL:
                raise
            reason = f"the caption of {image.image.name} could not be written beside it: {error.strerror}"
            return replace(image, problem=reason)
        return image

    def _paths(self, image: Path) -> dict[tuple[str, str], Path]:
        tasks, languages = (dict.fromkeys(names) for names in zip(*self.keys, strict=True))
        found = {}
        for task, language in self.keys:
            parts = [language] * (len(languages) > 1) + [task] * (len(tasks) > 1)
            found[task, language] = image.with_name(".".join([image.stem, *parts, "txt"]))
        return found


def _is_text(path: Path) -> bool:
    try:
        path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError):
        return False
    return True
