"""Caption image files one after the other, so that a bad one never ends the rest."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from ..data.images import open_image
from .captioner import Captioner


@dataclass(frozen=True)
class CaptionedFile:
    """Hold the captions of an image file by language, or the sentence that says why there are none."""

    path: Path
    captions: dict[str, str] = field(default_factory=dict)
    problem: str | None = None


def caption_files(
    captioner: Captioner,
    paths: Sequence[Path],
    languages: Sequence[str] | None = None,
    task: str = "caption",
    prefix: bool | str = False,
    num_beams: int = 4,
    batch_size: int = 8,
    via: str | None = None,
) -> Iterator[CaptionedFile]:
    """Yield each file with its captions, in order, as soon as its batch is done; see `Captioner.caption_languages`.

    Args:
        paths: image files; those that cannot be read, or not be used by the model, are yielded with their problem.
        batch_size: files that are opened and captioned at a time.

    Example:

    ```python
    >>> for file in caption_files(Captioner(), [Path("photo.jpg")], ["de"]):  # doctest: +SKIP
    ...     print(file.path, file.captions or file.problem)
    ```
    """

    def caption(images: list[Image.Image]) -> list[dict[str, str]]:
        return captioner.caption_languages(images, languages, task, prefix, num_beams, batch_size, via)

    for start in range(0, len(paths), batch_size):
        files: list[Image.Image | CaptionedFile] = [_open(path) for path in paths[start : start + batch_size]]
        images = [file for file in files if isinstance(file, Image.Image)]
        try:
            captions = iter(caption(images))
        except ValueError:
            captions = None  # one of them is to blame: the others are captioned without it
        for path, file in zip(paths[start:], files, strict=False):
            if isinstance(file, CaptionedFile):
                yield file
            elif captions is not None:
                yield CaptionedFile(path, next(captions))
            else:
                try:
                    yield CaptionedFile(path, caption([file])[0])
                except ValueError as error:
                    yield CaptionedFile(path, problem=f"{path} could not be captioned: {error}")


def _open(path: Path) -> Image.Image | CaptionedFile:
    try:
        return open_image(path)
    except ValueError as error:
        problem = str(error)
        return CaptionedFile(path, problem=problem if str(path) in problem else f"{path} could not be read: {problem}")
