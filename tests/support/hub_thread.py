"""Serve the small Hub from a thread, so that the client of the same process can talk to it."""

import threading
from pathlib import Path
from typing import Any

import pytest
from hub_server import serve
from huggingface_hub import constants
from pushed_folders import REPO


class HubThread:
    """Run a server until the block ends."""

    def __init__(self, folder: Path, **faults: Any) -> None:
        self.server = serve(folder, **faults)
        self.handler: Any = self.server.RequestHandlerClass
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> "HubThread":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def repo(self, name: str = REPO) -> dict[str, Any]:
        return self.handler.store.repo("model", name)

    def files(self, name: str = REPO) -> set[str]:
        repo = self.repo(name)
        return set(repo["commits"][repo["refs"]["main"]])


def talk_to(hub: HubThread, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client of this process, and of those forked from it, talk to a server."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
