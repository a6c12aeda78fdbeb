"""Delete uploads and results when they are old, for as long as the server runs."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from limits import KEEP_FILES_SECONDS


def lifespan(demo: gr.Blocks) -> Any:
    """Return a lifespan of the server during which files are deleted.

    Gradio's own `delete_cache` ends for good when a file is added while it looks, and leaves folders behind.
    """

    @contextlib.asynccontextmanager
    async def sweeping(app: Any) -> AsyncIterator[None]:
        task = asyncio.create_task(_sweep(demo))
        try:
            yield
        finally:
            task.cancel()

    return sweeping


async def _sweep(demo: gr.Blocks) -> None:
    while True:
        await asyncio.sleep(KEEP_FILES_SECONDS)
        # Examples and what components begin with are needed as long as the server runs.
        needed = {file for block in demo.blocks.values() for file in getattr(block, "keep_in_cache", ())}
        deleted = await asyncio.to_thread(delete_old, Path(get_upload_folder()), needed, KEEP_FILES_SECONDS)
        for files in demo.temp_file_sets:  # Gradio remembers every file
            files.difference_update(deleted)


def delete_old(folder: Path, needed: set[str], age: float) -> set[str]:
    """Delete files that have not changed for `age` seconds, and folders that have been empty for as long.

    Returns:
        the paths of the files.
    """
    deleted: set[str] = set()
    until = time.time() - age
    # Unlike `rglob`, this passes over folders that are deleted in the meantime.
    for place, folders, files in os.walk(folder, topdown=False):
        for name in (*files, *folders):
            path = Path(place, name)
            with contextlib.suppress(OSError):  # gone in the meantime, or a folder that is not empty
                status = path.lstat()
                if max(status.st_mtime, status.st_ctime) > until or str(path) in needed:
                    continue
                if path.is_dir():
                    path.rmdir()
                else:
                    path.unlink()
                    deleted.add(str(path))
    return deleted
