"""Old files of the Space are deleted, what is needed or new stays."""

import importlib
import importlib.util
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modeling_florenz.cli.space import find_app


if importlib.util.find_spec("gradio") is None:
    pytest.skip("gradio is not installed: pip install .[space]", allow_module_level=True)


@pytest.fixture
def module() -> Iterator[Any]:
    sys.path.insert(0, str(find_app().parent))
    yield importlib.import_module("sweeping")
    sys.path.remove(str(find_app().parent))


def test_old_files_and_empty_folders_go_and_others_stay(module: Any, tmp_path: Path) -> None:
    for name in ("a/old.png", "b/needed.png", "c/new.png", "partial"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"image")
    needed = {str(tmp_path / "b" / "needed.png")}
    time.sleep(0.02)  # the time of change cannot be set
    new = tmp_path / "c" / "new.png"
    os.utime(new, (time.time() + 60, time.time() + 60))
    deleted = module.delete_old(tmp_path, needed, age=0.01)
    assert deleted == {str(tmp_path / "a" / "old.png"), str(tmp_path / "partial")}
    assert (tmp_path / "b" / "needed.png").exists() and new.exists()
    time.sleep(0.02)
    assert module.delete_old(tmp_path, needed, age=0.01) == set()
    assert not (tmp_path / "a").exists() and (tmp_path / "b").exists()
    assert module.delete_old(tmp_path / "missing", needed, age=1) == set()


def test_folders_that_are_deleted_meanwhile_end_nothing(module: Any, tmp_path: Path) -> None:
    done = threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
                (Path(folder) / "captions.csv").touch()

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(200):
            assert module.delete_old(tmp_path, set(), age=60) == set()
    finally:
        done.set()
        for thread in threads:
            thread.join()
