"""Write the captions of blocks of image files: one block is opened and resized in threads while another is written."""

import io
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import torch

from ..checkpoint.fingerprint import fingerprint
from ..data.images import open_image
from .bulk_options import BulkOptions
from .captioner import Captioner
from .together import image_tokens, write_captions


# Captions of an image by task and language.
Captions = Mapping[tuple[str, str], str]


class ImageFile(NamedTuple):
    """Hold a file: what errors call it, and its bytes."""

    name: str
    content: bytes


# Files by a digest of their bytes; and by the same, their captions, or the sentence that says why there are none.
Block = Mapping[str, ImageFile]
Written = dict[str, Captions | str]


def made_by(captioner: Captioner) -> dict[str, Any]:
    """Return what decides the captions besides the images and what is asked: weights, their type, guidance."""
    return {
        **fingerprint(captioner.model, captioner.processor),
        "dtype": str(captioner.model.dtype).removeprefix("torch."),
        "image_guidance": captioner.image_guidance,
    }


class BlockWriter:
    """Write blocks with a model of this process.

    Args:
        captioner: whose model writes.
        options: what is written, and the threads that open images.
    """

    def __init__(self, captioner: Captioner, options: BulkOptions) -> None:
        self.captioner, self.options = captioner, options
        self._pool = ThreadPoolExecutor(options.workers, thread_name_prefix="florenz-read")
        self._one_at_a_time = threading.Lock()

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def write(self, block: Block) -> Written:
        """Return the captions of a block; of two threads that call it, one opens images while the other writes."""
        opened = self._open(block)
        with self._one_at_a_time:
            return self._write(opened)

    def write_all(self, blocks: Iterable[Block]) -> Iterator[Written]:
        """Yield the captions of blocks in order; the next block is opened while one is written."""
        waiting: deque[dict[str, Future[torch.Tensor]]] = deque()
        for block in blocks:
            waiting.append(self._open(block))
            if len(waiting) > 1:
                yield self._write(waiting.popleft())
        if waiting:
            yield self._write(waiting.popleft())

    def _open(self, block: Block) -> dict[str, "Future[torch.Tensor]"]:
        return {digest: self._pool.submit(self._pixels, file) for digest, file in block.items()}

    def _pixels(self, file: ImageFile) -> torch.Tensor:
        # Decoders and resizing let other threads run.
        processor = self.captioner.processor
        enough = processor.image_processor.size["height"] if self.options.fast_decode else None
        picture = open_image(io.BytesIO(file.content), file.name, at_least=enough)
        pixels: torch.Tensor = processor(images=picture, text="")["pixel_values"]
        return pixels

    def _write(self, opened: Mapping[str, "Future[torch.Tensor]"]) -> Written:
        written: Written = {}
        pixels: dict[str, torch.Tensor] = {}
        for digest, future in opened.items():
            try:
                pixels[digest] = future.result()
            except (OSError, ValueError) as error:
                written[digest] = str(error)
        if pixels:
            asked = self.options
            features = image_tokens(self.captioner, torch.cat(list(pixels.values())))
            found = write_captions(
                self.captioner, features, asked.tasks, asked.languages, asked.prefix, asked.num_beams, asked.via
            )
            written |= zip(pixels, found, strict=True)
        return written
