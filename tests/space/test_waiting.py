"""While a model is loading, the address of the Space says so to people and programs; it also reports a failure."""

import json
import socket
import urllib.error
import urllib.request
from typing import Any

import pytest
from manuals import ROOT


def _ask(address: str, path: str, body: bytes | None = None) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address + path, body, timeout=60) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def somewhere(monkeypatch: pytest.MonkeyPatch) -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("GRADIO_SERVER_NAME", "127.0.0.1")
    monkeypatch.setenv("GRADIO_SERVER_PORT", str(port))
    return f"http://127.0.0.1:{port}"


def test_until_the_model_is_there_people_and_programs_are_told_so(
    space: Any, somewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = space("waiting")
    written = json.loads((ROOT / "hub_cards" / "results" / "sample-captions.json").read_text(encoding="utf-8"))
    captions = written["captions"]["florenz-tiny"]["direct"]
    shown = [f"<dd lang='{code}'>{text}</dd>" for code, text in captions.items()]  # read out in its language
    with waiting.waiting_room() as port:
        assert somewhere.endswith(f":{port}")
        status, page = _ask(somewhere, "/?__theme=dark")
        assert status == 503 and waiting.LOADING in page and all(caption in page for caption in shown)
        assert "<dt>Simplified Chinese</dt>" in page
        for path, body in (("/gradio_api/app_id", None), ("/gradio_api/call/caption", b'{"data": []}')):
            status, answer = _ask(somewhere, path, body)
            assert status == 503 and json.loads(answer) == {"detail": waiting.LOADING}
        assert _ask(somewhere, "/sample.png")[0] == 200
        monkeypatch.setenv("FLORENZ_MODEL", "somebody/another-model")
        assert not any(caption in _ask(somewhere, "/")[1] for caption in captions.values())
        assert _ask(somewhere, "/sample.png")[0] == 503
    socket.create_server(("127.0.0.1", port)).close()  # free for what is served now


def test_a_failure_is_told_before_it_ends_the_process(
    space: Any, somewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = space("waiting")
    monkeypatch.setattr(waiting.time, "sleep", lambda seconds: told.append(_ask(somewhere, "/gradio_api/app_id")))
    told: list[tuple[int, str]] = []
    for is_watched in (False, True):
        with pytest.raises(ValueError, match="broken"), waiting.waiting_room():
            if is_watched:
                _ask(somewhere, "/gradio_api/app_id")
            raise ValueError("the weights are broken")
    # Nobody is waited for where nobody looks.
    assert [(status, json.loads(answer)["detail"]) for status, answer in told] == [(500, waiting.FAILED)]
