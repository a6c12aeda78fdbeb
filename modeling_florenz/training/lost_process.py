"""Say in one sentence that another process of a training ended, which the libraries say in pages."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import distributed


@contextmanager
def lost_process_said() -> Iterator[None]:
    """Turn what is raised where a process waits for one that has ended into one sentence.

    Raises:
        ValueError: another process ended.
    """
    try:
        yield
    except RuntimeError as error:
        # NCCL has errors of its own kind; gloo, on CPUs, tells in words alone.
        if not isinstance(error, distributed.DistError) and "gloo/transport" not in str(error):
            raise
        raise ValueError(
            "another process of this training ended: fix what it reports, then run the same command again"
        ) from None
