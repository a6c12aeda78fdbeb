"""The Space under random hostile requests: it lives on, opens and fetches nothing outside, and stays small."""

import importlib.util
import io
import json
import random
import re
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image
from space_server import WATCHED_FOLDERS, Listener, Served, listen

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.cli.space import find_app


if importlib.util.find_spec("gradio") is None:
    pytest.skip("gradio is not installed: pip install .[space]", allow_module_level=True)

SAMPLE = (BUNDLED_MODEL / "sample.png").read_bytes()
FILE = {"meta": {"_type": "gradio.FileData"}}
MEMORY = 1_200_000_000  # bytes; a picture of the largest size takes 150 MB while it is decoded, two at once


class Space:
    """Ask the Space, served under watch, as a client does that knows no manners."""

    def __init__(self, folder: Path, served: Served) -> None:
        self.journal, self.uploads, self.results = (folder / name for name in WATCHED_FOLDERS)
        self.address, self.process = served

    def get(self, path: str, body: bytes | None = None, kind: str = "application/json") -> tuple[int, str]:
        try:
            request = urllib.request.Request(self.address + path, body, {"content-type": kind})
            with urllib.request.urlopen(request, timeout=600) as answer:
                return answer.status, answer.read(3_000_000).decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read(100_000).decode("utf-8", "replace")
        except OSError as error:
            return 0, str(error)

    def upload(self, name: str, data: bytes) -> str | None:
        head = f'--edge\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        body = head.encode() + data + b"\r\n--edge--\r\n"
        status, answer = self.get("/gradio_api/upload", body, "multipart/form-data; boundary=edge")
        return json.loads(answer)[0] if status == 200 else None

    def call(self, name: str, given: list) -> tuple[int, str]:
        status, answer = self.get(f"/gradio_api/call/{name}", json.dumps({"data": given}).encode())
        if status != 200:
            return status, answer
        return self.get(f"/gradio_api/call/{name}/{json.loads(answer)['event_id']}")

    def memory(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024


@pytest.fixture
def space(watched):
    return Space(*watched)


@pytest.fixture
def listener():
    with listen() as host:
        yield host


def _bombs() -> dict[str, bytes]:
    def png(width: int, height: int) -> bytes:
        file = io.BytesIO()
        Image.new("1", (width, height)).save(file, "png")
        return file.getvalue()

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a", bytes(100_000_000))
    drawing = (
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd"><!ENTITY l "lol">'
        b'<!ENTITY m "&l;&l;">]><svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        b'<image xlink:href="/etc/passwd"/><text>&e;&m;</text></svg>'
    )
    program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd)(r)file\n"
    noise = random.Random(0).randbytes(900)
    return {
        "bomb.png": png(20_000, 20_000),
        "large.png": png(7_000, 7_000),
        "zip.png": packed.getvalue(),
        "a.svg": drawing,
        "drawing.png": drawing,
        "program.eps": program,
        "program.png": program,
        "cut.png": SAMPLE[:999],
        "empty.png": b"",
        "../../../evil.png": SAMPLE,
        "<img src=x onerror=alert(1)>.png": SAMPLE[:50],
        "a" * 300 + ".png": SAMPLE,
        "a.gif": b"GIF89a\xff\xff\xff\xff" + noise,
        "a.tiff": b"II*\x00" + noise,
    }


def _hostile(rng: random.Random, uploaded: dict[str, str | None], good: dict, listener: str) -> tuple[str, list]:
    """Draw an endpoint and what to give it: now and then all but one thing is right."""
    port = listener.rpartition(":")[2]
    hosts = (listener, f"localhost:{port}", f"[::1]:{port}", f"0:{port}", f"2130706433:{port}", f"hf.co@{listener}")
    paths = [
        f"{scheme}{host}/a.png" for scheme in ("http://", "HTTP://", "https://", "//", "ftp://") for host in hosts
    ]
    paths += [
        "/etc/passwd",
        "../../../../etc/passwd",
        "/proc/self/environ",
        "/proc/self/mem",
        "/dev/zero",
        "/dev/random",
    ]
    paths += [
        "file:///etc/passwd",
        "~/.ssh/id_rsa",
        "//etc//passwd",
        "..\\..\\x",
        "/gradio_api/file=/etc/passwd",
        "",
        "\0",
    ]
    paths += [
        str(BUNDLED_MODEL / "sample.png"),
        "a" * 5000,
        "http://169.254.169.254/latest",
        "https://example.com/a.png",
    ]
    texts = [
        "a" * 900_000,
        "\0\1\2\x1b[31m",
        "\u202e\u200b\ufeff" * 50,
        "{source}{0}%s%n${7*7}",
        "<script>alert(1)</script>",
    ]
    texts += [
        "</s><s><pad><eos><loc_1>",
        "'; DROP TABLE x;--",
        "\ud800",
        "🏴" * 500,
        "字" * 900,
        "\n" * 900,
        "  ",
        None,
        5,
    ]
    texts += [[], {}, True, 1e308, ["x"] * 100, {"path": "/etc/passwd", **FILE}]

    def file() -> object:
        kind = rng.random()
        if kind < 0.4:
            extra = {"orig_name": rng.choice(paths)} if rng.random() < 0.4 else {}
            return {"path": rng.choice(paths), "is_stream": rng.random() < 0.15, **extra, **FILE}
        if kind < 0.5:
            addresses = [*paths, "data:image/png;base64,AAAA", "data:image/svg+xml,<svg/>"]
            return {"path": rng.choice([good["path"], "x", None]), "url": rng.choice(addresses), **FILE}
        if kind < 0.85:
            name, path = rng.choice(list(uploaded.items()))
            return {"path": path or "x", "orig_name": name, **FILE}
        return rng.choice(texts)

    def either(right: object, *wrong: object) -> object:
        return right if rng.random() < 0.6 else rng.choice(wrong)

    image, language = either(good, file()), either("de", "all", "xx", "../", None, ["de"], 5)
    text, style = either("A picture of pet and plant.", *texts), either("caption", "translate", *texts)
    candidates = either("Ein Bild: Hund.\nEin Bild: Katze.", "\n".join("ab" * 200), *texts)
    files = [either(good, file()) for _ in range(either(2, 0, 1, 40))]
    emoji = either(["🐕"], ["x"], [], ["🐕"] * 9, "🐕", *texts)
    given = {
        "caption": [image, language, style, either(False, True, "x"), either(False, True, "x")],
        "translate": [image, text, language, either(None, image, file())],
        "score": [image, text, language, candidates],
        "look_inside": [image, language, style],
        "look_at_word": [either("0", "-1", "999", "x", None), either("mean", "99", "../")],
        "batch": [files, language, style],
        "make_scene": [emoji, either("green", "x", None), either(7, -1, 1e30, "x", None, float("inf"))],
    }
    name = rng.choice(list(given))
    return name, given[name]


@pytest.mark.parametrize("count", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_hostile_requests_reach_nothing_outside_and_end_nothing(count, space, listener):
    good = {"path": space.upload("a.png", SAMPLE), **FILE}
    uploaded = {name: space.upload(name, data) for name, data in _bombs().items()}
    assert space.upload("heavy.png", bytes(25_000_000)) is None
    space.call("caption", [good, "en", "caption", False, False])  # so that what is loaded once is loaded
    before = len(space.journal.read_text(encoding="utf-8", errors="replace").splitlines())
    rng = random.Random(count)
    slowest, answers = 0.0, Counter()
    for _ in range(count):
        name, given = _hostile(rng, uploaded, good, listener)
        start = time.perf_counter()
        status, answer = space.call(name, given)
        slowest = max(slowest, time.perf_counter() - start)
        assert space.process.poll() is None, (name, given)
        assert status in (200, 400, 413, 422, 500), (status, name, answer[:200])
        answers[str(status) if status != 200 else "done" if "event: complete" in answer else "told"] += 1
        assert not re.search(r"root:.*:0:|PATH=|Traceback", answer), (name, answer[:200])
    for route in ("file=", "file/", "proxy=", "stream/", "../../../etc/passwd", "file=%2e%2e/%2e%2e/etc/passwd"):
        for target in (f"http://{listener}/a", "/etc/passwd", "https://huggingface.co/"):
            status, answer = space.get(f"/gradio_api/{route}{target}")
            assert status != 200 or "root:" not in answer
    status, answer = space.call("caption", [good, "en", "caption", False, False])
    assert "A picture of dog, bicycle and palm tree." in answer
    peak = space.memory()
    print(f"{count} requests {dict(answers)}, slowest {slowest:.1f} s, peak {peak / 1e6:.0f} MB, {Listener.hits} hits")
    assert Listener.hits == 0
    assert peak < MEMORY
    assert answers["done"] and answers["told"]  # some of it was fine, some told what is wrong
    journal = space.journal.read_text(encoding="utf-8", errors="replace").splitlines()[before:]
    opened = {line.partition(" ")[2].strip("'\"") for line in journal if line.startswith("open ")}
    assert not [line for line in journal if not line.startswith("open ")], "it connected or started something"
    allowed = (str(space.uploads), str(space.results), sys.prefix, sys.base_prefix, str(find_app().parent))
    outside = {path for path in opened if path.startswith("/") and not path.startswith(allowed)}
    outside = {path for path in outside if not path.endswith(".py")}  # a warning quotes the line it comes from
    assert not outside, sorted(outside)[:5]
