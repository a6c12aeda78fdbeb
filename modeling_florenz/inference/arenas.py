"""Give memory back that many threads allocated, which glibc by itself keeps."""

import ctypes
import platform


# As malloc.h calls them.
TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
ARENAS, LARGE = 2, 2**20


def limit_arenas(give_back: bool = False) -> None:
    """Let all threads allocate from the same two arenas, where the C library is glibc.

    Requests run in threads that come and go. By itself, glibc has up to eight arenas for each core, and what is free
    in one of them is neither given back nor used by threads of another one, so that memory grows for a long time.

    Args:
        give_back: also give every piece of a megabyte and more back when it is free. That costs time where a model
            allocates such pieces at every step, and none where images only pass through.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    settings = {ARENA_MAX: ARENAS, **({MMAP_THRESHOLD: LARGE, TRIM_THRESHOLD: LARGE} if give_back else {})}
    for name, value in settings.items():
        ctypes.CDLL(None).mallopt(name, value)
