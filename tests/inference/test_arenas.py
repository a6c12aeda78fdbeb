"""Threads of the Space and of a server share the arenas of glibc's malloc; by themselves, they do not."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest


# Allocate in eight threads at once, and count the arenas.
COUNT = """
import ctypes, sys, threading
if sys.argv[2] == "limited":
    from modeling_florenz.inference.arenas import limit_arenas
    limit_arenas()
barrier = threading.Barrier(8)
def allocate():
    barrier.wait()
    kept = bytes(5000)
    barrier.wait()
threads = [threading.Thread(target=allocate) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
c = ctypes.CDLL(None)
c.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(c.fopen(sys.argv[1].encode(), b"w"))
c.malloc_info(0, file)
c.fclose(file)
print(open(sys.argv[1]).read().count("<heap nr"))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such arenas")
def test_threads_share_the_arenas_that_are_allowed(tmp_path: Path) -> None:
    def count(limited: str) -> int:
        command = [sys.executable, "-c", COUNT, str(tmp_path / "found.xml"), limited]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert count("limited") <= 2 < count("as it is")
