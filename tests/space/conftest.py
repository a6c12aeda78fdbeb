from collections.abc import Iterator
from pathlib import Path

import pytest
from space_server import Served, serve_watched


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Served]]:
    """Serve the Space under watch, once for all tests: its folder, and where it is served."""
    folder = tmp_path_factory.mktemp("watched")
    with serve_watched(folder) as served:
        yield folder, served
