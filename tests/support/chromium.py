"""Start Chromium for tests of pages, or skip them where it is missing."""

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


_FLAGS = "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"


def need_chromium(*modules: str) -> None:
    """Skip the module that is being collected where playwright, Chromium or one of `modules` is missing."""
    for needed in ("playwright", *modules):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed: pip install .[dev]", allow_module_level=True)
    if _path() is None:
        pytest.skip("there is no chromium on this machine", allow_module_level=True)


@contextmanager
def chromium() -> Iterator[Any]:
    """Yield a browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_path(), args=_FLAGS.split())
        yield browser
        browser.close()


def _path() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")
