import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import chromium
from space_server import Served, serve_space, serve_watched

from modeling_florenz.cli.space import find_app


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Served]]:
    """Serve the Space under watch, once for all tests: its folder, and where it is served."""
    folder = tmp_path_factory.mktemp("watched")
    with serve_watched(folder) as served:
        yield folder, served


@pytest.fixture(scope="session")
def address(watched: tuple[Path, Served]) -> str:
    """Only the address is shared: what is asked is asked as a client does."""
    return watched[1].address


@pytest.fixture
def space() -> Iterator[Any]:
    """Import modules of the Space by name."""
    sys.path.insert(0, str(find_app().parent))
    yield importlib.import_module
    sys.path.remove(str(find_app().parent))


@pytest.fixture(scope="session")
def space_address() -> Iterator[str]:
    """Serve the Space for browsers, once for all tests."""
    with serve_space(FLORENZ_MODEL="florenz-tiny") as served:
        yield served.address


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    """Open pages that may talk to the Space alone; what else they ask for is a failure."""
    contexts, outside = [], []

    def open_page(url: str, width: int = 1440, theme: str = "light", link: str = "", ready: bool = True) -> Any:
        height = 900 if width > 720 else 844
        contexts.append(
            browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme, has_touch=width < 720)
        )
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)

        def gate(route: Any) -> None:
            if route.request.url.startswith((url, "data:", "blob:")):
                route.continue_()
            else:
                outside.append(route.request.url)
                route.abort()

        page.route("**/*", gate)
        page.goto(f"{url}/?__theme={theme}{link}")
        if ready:
            page.get_by_role("tab", name="Caption", exact=True).wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not outside
