import gc
import os

import pytest


# Tiny tensors are slower on more threads, here and in the processes that tests start; libraries read this on import.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test asks the Hub for anything.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch  # noqa: E402


torch.set_num_threads(1)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep the garbage collector from walking, again and again, the million objects that imported libraries hold."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
