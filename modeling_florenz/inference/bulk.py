"""Caption any number of images: read ahead in threads, written together, in blocks that a restart does not change."""

import hashlib
import io
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import torch

from ..data.image_inputs import ImageInput
from ..data.images import open_image
from .captioner import Captioner
from .together import image_tokens, write_captions


# Captions of an image by task and language.
Captions = Mapping[tuple[str, str], str]


def default_workers() -> int:
    """Return the threads that read images: all cores but one, which the model needs."""
    return max(1, (os.cpu_count() or 2) - 1)


@dataclass(frozen=True)
class BulkOptions:
    """Say what is written about every image, and how many are opened at a time.

    Args:
        tasks, languages: each task is written in each language.
        prefix, via, num_beams: see `Captioner.caption`.
        batch_size: images in a block, which goes through the vision tower and the search together.
        workers: threads that read and stretch images ahead of the model.
        fast_decode: decode large JPEGs at a smaller scale, with slightly other pixels; see `open_image`.
    """

    tasks: tuple[str, ...] = ("caption",)
    languages: tuple[str, ...] = ("en",)
    prefix: bool | str = False
    via: str | None = None
    num_beams: int = 4
    batch_size: int = 8
    workers: int = field(default_factory=default_workers)
    fast_decode: bool = False


@dataclass(frozen=True)
class CaptionedImage:
    """Hold the captions of an image, or the sentence that says why there are none.

    Args:
        image: what was asked for.
        content: digest of the bytes of its file; empty if it was not read.
        size: of its file, in bytes.
        captions: by task and language.
        problem: why there are none.
        kept: whether the captions were there before.
    """

    image: ImageInput
    content: str = ""
    size: int = 0
    captions: Captions = field(default_factory=dict)
    problem: str | None = None
    kept: bool = False


class KeptCaptions(Protocol):
    """Know which captions are there already."""

    def has(self, image: ImageInput) -> bool:
        """Return whether nothing is left to do for an image, by its name alone; called in order, before it is read.

        Raises:
            ValueError: its captions cannot be kept; the image is then skipped.
        """
        ...

    def captions_of(self, content: str) -> Captions | None:
        """Return the captions of a file by the digest of its bytes, if all of them are there."""
        ...


def caption_in_bulk(
    captioner: Captioner, images: Iterable[ImageInput], options: BulkOptions, kept: KeptCaptions | None = None
) -> Iterator[list[CaptionedImage]]:
    """Yield images with their captions in blocks, in the order in which they are given.

    Files with the same bytes are captioned once. A block always holds the same images, and all of them are written
    again if the captions of one are missing, so that a run that is continued writes what an undisturbed one writes.

    Args:
        kept: what is there already, from earlier runs and earlier blocks of this one.

    Example:

    ```python
    >>> images = find_image_inputs(["photos"])  # doctest: +SKIP
    >>> for block in caption_in_bulk(Captioner(), images, BulkOptions(languages=("de",))):  # doctest: +SKIP
    ...     for image in block:
    ...         print(image.image.name, image.captions or image.problem)
    ```
    """
    seen: dict[str, Captions] = {}
    for block in _blocks(_read_ahead(captioner, images, options, kept), options.batch_size):
        new: dict[str, _Read] = {}
        for read in block:
            if read.content and read.content not in seen:
                new.setdefault(read.content, read)
        known = {content: None if kept is None else kept.captions_of(content) for content in new}
        missing = {content for content, captions in known.items() if captions is None}
        texts = _write(captioner, list(new.values()), options) if missing else {}
        seen |= {content: texts[content] if captions is None else captions for content, captions in known.items()}
        there = new.keys() - missing
        yield [_finish(read, seen, read.content in there) for read in block]


@dataclass
class _Read:
    """An image that was read; its pixels are there if its captions are not."""

    image: ImageInput
    problem: str | None = None
    kept: bool = False
    content: str = ""
    size: int = 0
    bytes_: bytes = b""
    pixels: torch.Tensor | None = None


def _read_ahead(
    captioner: Captioner, images: Iterable[ImageInput], options: BulkOptions, kept: KeptCaptions | None
) -> Iterator[_Read]:
    """Read in threads: decoders, hashes and resizing let other threads run."""
    pool = ThreadPoolExecutor(options.workers, thread_name_prefix="florenz-read")
    waiting: deque[Future[_Read]] = deque()
    try:
        for image in images:
            waiting.append(pool.submit(_read, captioner, _look_up(image, kept), kept, options.fast_decode))
            # The block after the one at work is read while the model writes.
            if len(waiting) >= 2 * options.batch_size + options.workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _look_up(image: ImageInput, kept: KeptCaptions | None) -> _Read:
    if image.problem is not None or kept is None:
        return _Read(image, image.problem)
    try:
        return _Read(image, kept=kept.has(image))
    except ValueError as error:
        return _Read(image, str(error))


def _read(captioner: Captioner, read: _Read, kept: KeptCaptions | None, fast: bool) -> _Read:
    if read.problem is not None or read.kept:
        return read
    name = read.image.name
    try:
        try:
            content = read.image.read()
        except OSError:
            open_image(read.image.path or name, name)  # says what is wrong with the file
            raise
        read.content = hashlib.blake2b(content, digest_size=16).hexdigest()
        read.size, read.bytes_ = len(content), content
        if kept is None or kept.captions_of(read.content) is None:
            _decode(captioner, read, fast)
    except (OSError, ValueError) as error:
        read.problem = str(error) if name in str(error) else f"{name} could not be read: {error}"
        read.content = ""
    return read


def _decode(captioner: Captioner, read: _Read, fast: bool) -> None:
    enough = captioner.processor.image_processor.size["height"] if fast else None
    picture = open_image(io.BytesIO(read.bytes_), read.image.name, at_least=enough)
    read.pixels = captioner.processor(images=picture, text="")["pixel_values"]
    read.bytes_ = b""


def _blocks(reads: Iterator[_Read], size: int) -> Iterator[list[_Read]]:
    block: list[_Read] = []
    for read in reads:
        block.append(read)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block


def _write(captioner: Captioner, reads: list[_Read], options: BulkOptions) -> dict[str, Captions]:
    for read in reads:
        if read.pixels is None:
            _decode(captioner, read, options.fast_decode)
    features = image_tokens(captioner, torch.cat([read.pixels for read in reads if read.pixels is not None]))
    found = write_captions(
        captioner, features, options.tasks, options.languages, options.prefix, options.num_beams, options.via
    )
    return {read.content: captions for read, captions in zip(reads, found, strict=True)}


def _finish(read: _Read, seen: Mapping[str, Captions], kept: bool) -> CaptionedImage:
    if read.problem is not None or read.kept:
        return CaptionedImage(read.image, problem=read.problem, kept=read.kept)
    return CaptionedImage(read.image, read.content, read.size, seen[read.content], kept=kept)
