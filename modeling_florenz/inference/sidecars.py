"""Keep captions as text files beside their images, as the tools that train image generators read them."""

from collections.abc import Iterable
from pathlib import Path

from ..data.image_inputs import ImageInput
from ..resumable import write_text
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
        """Return whether all of an image's files are there.

        Raises:
            ValueError: it is no file of its own, or another image has the same files.
        """
        if image.path is None:
            raise ValueError(f"{image.name} is no file of its own, so nothing can lie beside it: use --output")
        paths = list(self._paths(image.path).values())
        owner = self._owners.setdefault(paths[0], image.name)
        if owner != image.name:
            raise ValueError(f"{image.name} would share {paths[0].name} with {owner}: rename one of them")
        return not self.overwrite and all(path.exists() for path in paths)

    def captions_of(self, content: str) -> Captions | None:
        """Return None: text files do not say what they were made of."""
        return None

    def add(self, block: Iterable[CaptionedImage]) -> None:
        """Write the files of images that were captioned."""
        for image in block:
            if image.problem is None and not image.kept and image.image.path is not None:
                paths = self._paths(image.image.path)
                for key, text in self.wrapped.around(image.captions).items():
                    if self.overwrite or not paths[key].exists():
                        write_text(paths[key], text + "\n")

    def _paths(self, image: Path) -> dict[tuple[str, str], Path]:
        tasks, languages = (dict.fromkeys(names) for names in zip(*self.keys, strict=True))
        found = {}
        for task, language in self.keys:
            parts = [language] * (len(languages) > 1) + [task] * (len(tasks) > 1)
            found[task, language] = image.with_name(".".join([image.stem, *parts, "txt"]))
        return found
