"""Caption for another process. Nothing is imported here that could speak before `load` has silenced it."""

import os
import signal
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from .bulk_options import BulkOptions


if TYPE_CHECKING:
    from .block_writer import Block, Written
    from .captioner import Captioner


AT_ONCE = 2  # blocks of a worker: one is opened while the other is written


def caption_for(
    connection: Any, load: "Callable[..., Captioner]", device: str | None, threads: int, options: BulkOptions
) -> None:
    """Load a model, send what decides its captions, and then captions for every numbered block that comes.

    Args:
        connection: to the first process; instead of an answer, a sentence goes back where something is wrong.
        load: makes a `Captioner`, given `device`.
        threads: of the model.
        options: what is written.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes: the first one ends the others
    tqdm.set_lock(threading.RLock())  # its usual one is left behind by a process that is ended
    try:
        captioner = load(device=device)

        import torch

        from .block_writer import BlockWriter, made_by

        torch.set_num_threads(threads)
        made = made_by(captioner)
    except (ValueError, OSError) as error:
        connection.send(str(error))
        return
    writer, sending = BlockWriter(captioner, options), threading.Lock()

    def answer(number: int, block: "Block") -> None:
        try:
            written: Written | str = writer.write(block)
        except (ValueError, OSError) as error:
            written = str(error)
        except BaseException:
            traceback.print_exc()
            os._exit(1)  # the first process sees that this one died
        with sending, suppress(OSError):
            connection.send((number, written))

    pool = ThreadPoolExecutor(AT_ONCE)
    with suppress(EOFError, OSError):
        connection.send(made)
        while True:
            pool.submit(answer, *connection.recv())
    os._exit(0)  # the first process ended, and nobody waits for what is at work
