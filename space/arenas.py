"""Keep what many threads allocate together, for glibc gives little of it back."""

import ctypes
import platform


ARENA_MAX = -8  # as malloc.h calls it
ARENAS = 2


def limit_arenas() -> None:
    """Let all threads allocate from the same two arenas, where the C library is glibc.

    Requests run in threads that come and go. By itself, glibc has up to eight arenas for each core, and what is free
    in one of them is neither given back nor used by threads of another one, so that memory grows for a long time.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(ARENA_MAX, ARENAS)
