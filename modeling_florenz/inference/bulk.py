"""Caption any number of images: read ahead in threads, written together, in blocks that a restart does not change."""

import hashlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from ..data.image_inputs import ImageInput
from ..data.images import open_image
from .block_writer import Block, BlockWriter, Captions, ImageFile, Written
from .bulk_options import BulkOptions
from .captioner import Captioner


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


class Crew(Protocol):
    """Write blocks elsewhere: in other processes, or on other machines."""

    def write_all(self, blocks: Iterable[Block]) -> Iterator[Written]:
        """Yield the captions of blocks in order."""
        ...


def caption_in_bulk(
    captioner: Captioner | Crew,
    images: Iterable[ImageInput],
    options: BulkOptions,
    kept: KeptCaptions | None = None,
) -> Iterator[list[CaptionedImage]]:
    """Yield images with their captions in blocks, in the order in which they are given.

    Files with the same bytes are captioned once. A block always holds the same images, and all of them are written
    again if the captions of one are missing, so that a run that is continued writes what an undisturbed one writes.

    Args:
        captioner: writes here; a crew writes side by side what one captioner writes.
        kept: what is there already, from earlier runs and earlier blocks of this one.

    Example:

    ```python
    >>> images = find_image_inputs(["photos"])  # doctest: +SKIP
    >>> for block in caption_in_bulk(Captioner(), images, BulkOptions(languages=("de",))):  # doctest: +SKIP
    ...     for image in block:
    ...         print(image.image.name, image.captions or image.problem)
    ```
    """
    planned: deque[_Planned] = deque()

    def blocks() -> Generator[Block, None, None]:
        for plan in _plan(images, options, kept):
            planned.append(plan)
            yield plan.block

    crew = BlockWriter(captioner, options) if isinstance(captioner, Captioner) else captioner
    asked = blocks()
    found: dict[str, Captions | str] = {}  # what earlier blocks hold and nothing else keeps
    try:
        for written in crew.write_all(asked):
            plan = planned.popleft()
            new = {digest: written[digest] if known is None else known for digest, known in plan.new.items()}
            for digest in {read.digest for read in plan.reads} - {"", *new}:
                new[digest] = found.get(digest) or _captions_of(kept, digest) or {}
            yield [_finish(read, new, plan.new) for read in plan.reads]
            for digest in plan.new:
                if isinstance(new[digest], str) or _captions_of(kept, digest) is None:
                    found[digest] = new[digest]
    finally:
        asked.close()
        if isinstance(crew, BlockWriter):
            crew.close()


@dataclass
class _Read:
    """A file that was read, or not."""

    image: ImageInput
    problem: str | None = None
    kept: bool = False
    digest: str = ""
    size: int = 0
    content: bytes = b""


@dataclass
class _Planned:
    """Images of a block, the captions that are known of files that no earlier block has, and what is to be written."""

    reads: list[_Read]
    new: dict[str, Captions | None]
    block: Block


def _plan(images: Iterable[ImageInput], options: BulkOptions, kept: KeptCaptions | None) -> Iterator[_Planned]:
    seen: set[str] = set()
    reads: list[_Read] = []
    for read in _read_ahead(images, options, kept):
        reads.append(read)
        if len(reads) == options.batch_size:
            yield _plan_block(reads, seen, kept)
            reads = []
    if reads:
        yield _plan_block(reads, seen, kept)


def _captions_of(kept: KeptCaptions | None, digest: str) -> Captions | None:
    return None if kept is None else kept.captions_of(digest)


def _plan_block(reads: list[_Read], seen: set[str], kept: KeptCaptions | None) -> _Planned:
    files = {read.digest: ImageFile(read.image.name, read.content) for read in reversed(reads) if read.digest}
    new = [digest for digest in dict.fromkeys(read.digest for read in reads) if digest and digest not in seen]
    seen.update(new)
    known = {digest: _captions_of(kept, digest) for digest in new}
    for read in reads:
        read.content = b""
    return _Planned(reads, known, {digest: files[digest] for digest in new} if None in known.values() else {})


def _read_ahead(images: Iterable[ImageInput], options: BulkOptions, kept: KeptCaptions | None) -> Iterator[_Read]:
    """Read in threads: disks and hashes let other threads run."""
    pool = ThreadPoolExecutor(options.workers, thread_name_prefix="florenz-read")
    waiting: deque[Future[_Read]] = deque()
    try:
        for image in images:
            waiting.append(pool.submit(_read, _look_up(image, kept)))
            if len(waiting) >= options.batch_size + options.workers:
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


def _read(read: _Read) -> _Read:
    if read.problem is not None or read.kept:
        return read
    name = read.image.name
    try:
        try:
            read.content = read.image.read()
        except OSError:
            open_image(read.image.path or name, name)  # says what is wrong with the file
            raise
    except (OSError, ValueError) as error:
        read.problem = str(error) if name in str(error) else f"{name} could not be read: {error}"
        return read
    read.digest, read.size = hashlib.blake2b(read.content, digest_size=16).hexdigest(), len(read.content)
    return read


def _finish(read: _Read, found: Mapping[str, Captions | str], new: Mapping[str, Captions | None]) -> CaptionedImage:
    if read.problem is not None or read.kept:
        return CaptionedImage(read.image, problem=read.problem, kept=read.kept)
    captions = found[read.digest]
    if isinstance(captions, str):
        name = read.image.name
        problem = captions if name in captions else f"{name} has the same bytes as another file, and {captions}"
        return CaptionedImage(read.image, problem=problem)
    return CaptionedImage(read.image, read.digest, read.size, captions, kept=new.get(read.digest) is not None)
