"""Say in one sentence that a disk is full, and remove the checkpoint that did not fit."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from ..resumable import DISK_FULL
from .trainer import checkpoint_steps, is_complete, last_complete_checkpoint


@contextmanager
def full_disk_said(output: Path) -> Iterator[None]:
    """Turn what libraries raise on a full disk into one sentence.

    Args:
        output: folder of the run, whose unfinished checkpoints are then removed.

    Raises:
        ValueError: the disk was full; the last whole checkpoint is named.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if not _is_full(error):
            raise
        whole = last_complete_checkpoint(output)
        for folder in checkpoint_steps(output).values():
            if not is_complete(folder):
                shutil.rmtree(folder, ignore_errors=True)
        kept = f"the last whole checkpoint is {whole}" if whole else "there is no checkpoint yet"
        raise ValueError(f"the disk of {output} is full; {kept}: make room, then run the same command again") from None


def _is_full(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            return True
        # Weights are written by libraries that only tell in words.
        if "No space left" in str(error) or "PytorchStreamWriter failed" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
