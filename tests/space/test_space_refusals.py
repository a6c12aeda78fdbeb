"""What the Space lets nobody do: fetch addresses, read files, go round the line, or take more than a share."""

import base64
import importlib.util
import itertools
import json
import socket
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image, PngImagePlugin
from space_server import Listener, listen
from space_visitor import Refused, Visitor

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.cli.space import find_app


if importlib.util.find_spec("gradio") is None:
    pytest.skip("gradio is not installed: pip install .[space]", allow_module_level=True)

SAMPLE = BUNDLED_MODEL / "sample.png"


def _post(address, path, body):
    request = urllib.request.Request(address + path, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        return answer.read().decode()


def _refused(address, file):
    """Return why a request is not even accepted."""
    with pytest.raises(urllib.error.HTTPError, match="400") as refusal:
        _call(address, file)
    return json.loads(refusal.value.read())["detail"]


def _call(address, file, name="caption"):
    """Ask as a hostile client does: with a file that was never uploaded."""
    given = {"data": [{"meta": {"_type": "gradio.FileData"}} | file, "en", "caption", False, False]}
    event = json.loads(_post(address, f"/gradio_api/call/{name}", json.dumps(given).encode()))["event_id"]
    with urllib.request.urlopen(f"{address}/gradio_api/call/{name}/{event}", timeout=600) as answer:
        return answer.read().decode()


@pytest.fixture
def listener():
    with listen() as host:
        yield f"http://{host}/image.png"


SCENE = {"data": [["🐈"], "green", 7]}


def test_no_call_goes_round_the_line(address):
    config = json.loads(urllib.request.urlopen(f"{address}/config").read())
    number = next(event["id"] for event in config["dependencies"] if event["api_name"] == "make_scene")
    by_number = json.dumps(SCENE | {"fn_index": number, "session_hash": "a"}).encode()
    for route, body in (("run/make_scene", json.dumps(SCENE).encode()), ("run/predict", by_number)):
        for start in ("run/", "api/"):
            asked = (address, f"/gradio_api/{route.replace('run/', start)}", body)
            with ThreadPoolExecutor(12) as threads:
                assert list(threads.map(lambda _, asked=asked: _status(*asked), range(12))) == [404] * 12


@pytest.mark.slow
def test_of_twelve_calls_at_once_four_are_answered(address):
    def ask(_):
        try:
            event = json.loads(_post(address, "/gradio_api/call/make_scene", json.dumps(SCENE).encode()))["event_id"]
        except urllib.error.HTTPError as error:
            return error.code
        answer = urllib.request.urlopen(f"{address}/gradio_api/call/make_scene/{event}", timeout=600)
        return answer.read().decode().partition("\n")[0]

    with ThreadPoolExecutor(12) as threads:
        answers = Counter(threads.map(ask, range(12)))
    assert answers["event: complete"] >= 4
    assert answers[429] + answers["event: error"] == 12 - answers["event: complete"] > 0


def _status(address, path, body):
    try:
        _post(address, path, body)
    except urllib.error.HTTPError as error:
        return error.code
    return 200


def test_requests_of_one_visitor_are_refused_at_the_door_and_others_are_let_in(address):
    greedy, modest = Visitor(address, "127.0.0.3"), Visitor(address, "127.0.0.2")
    with greedy, modest, ThreadPoolExecutor(34) as threads:
        files = greedy.upload(SAMPLE) * 32
        jobs = [threads.submit(_sentence, greedy, "batch", [files, "en", "caption"], 2) for _ in range(34)]
        [mine] = modest.upload(SAMPLE)
        *_, texts = modest.ask("caption", [mine, "en", "caption", False, False])
        told = Counter(job.result() for job in jobs)
    assert texts[0] == "A picture of dog, bicycle and palm tree."
    assert 4 <= told[None] < 34 and sum(told.values()) == 34
    for sentence in told.keys() - {None}:
        assert "requests here already: wait until one of them is done" in sentence


def _sentence(visitor, name, given, pieces, again=False):
    """Take some pieces of an answer and leave; return why there are none, if so."""
    try:
        for _ in itertools.islice(visitor.ask(name, given, again=again), pieces):
            pass
    except Refused as refused:
        return str(refused)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Write files that no tab may open; what each is told to be."""
    folder = tmp_path_factory.mktemp("hostile")
    Image.new("1", (10_000, 9_000)).save(folder / "bomb.png")
    (folder / "drawing.png").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    Image.new("RGB", (8, 8)).save(folder / "program.png", "EPS")
    told = {"bomb": "has 10000 x 9000 pixels", "drawing": "is not an image", "program": "is not an image"}
    return {folder / f"{name}.png": problem for name, problem in told.items()}


@pytest.mark.parametrize(
    ("example", "name", "rest"),
    [
        ("load_example", "caption", ["en", "caption", False, False]),
        ("load_example_1", "look_inside", ["en", "caption"]),
        ("load_example_2", "batch", ["en", "caption"]),
        ("load_example_3", "translate", ["A picture of pet.", "de", None]),
        ("load_example_4", "score", ["A picture of pet.", "de", "Ein Bild: Hund.\nEin Bild: Katze."]),
    ],
)
def test_a_hostile_file_is_refused_after_an_example_too(address, watched, hostile, example, name, rest):
    """An example fills the inputs of a tab, which Gradio makes anew for the session."""
    with Visitor(address, "127.0.0.5") as visitor:
        [filled] = visitor.ask(example, [0], again=True)
        assert "update" in str(filled[0])  # with what is given, as to a browser
        before = set((watched[0] / "uploads").rglob("*"))
        uploaded = visitor.upload(*hostile)
        if name == "batch":
            *_, (table, *_) = visitor.ask(name, [uploaded, *rest], again=True)
            found = [problem for *_, problem in table["data"]]
        else:
            found = [_sentence(visitor, name, [file, *rest], 1, again=True) for file in uploaded]
        for (path, problem), sentence in zip(hostile.items(), found, strict=True):
            assert sentence.startswith(f"{path.name.capitalize()} {problem}")
        left = set((watched[0] / "uploads").rglob("*")) - before
        assert all(path.stat().st_size for path in left if path.is_file())
        if name == "caption":
            *_, texts = visitor.ask(name, [*visitor.upload(SAMPLE), *rest], again=True)
            assert texts[0] == "A picture of dog, bicycle and palm tree."


def test_files_without_end_are_not_taken(address, tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(33)]
    for path in paths:
        path.write_bytes(SAMPLE.read_bytes())
    with Visitor(address, "127.0.0.4") as visitor:
        assert len(visitor.upload(*paths[:32])) == 32
        with pytest.raises(Refused, match="At most 32 files can be uploaded at once"):
            visitor.upload(*paths)


def test_who_has_uploaded_enough_is_told_and_others_are_not(space):
    from starlette.formparsers import MultiPartException

    door, limits = space("door"), space("limits")
    gate = door.Door(None)
    for _ in range(limits.UPLOADED_BYTES // 10**8):
        gate._count("a", 10**8)
    with pytest.raises(MultiPartException, match="come back in two hours"):
        gate._count("a", 1)
    gate._count("b", 1)
    for number in range(limits.UPLOADED_BYTES_BY_ALL // limits.UPLOADED_BYTES - 2):
        gate._count(f"c{number}", limits.UPLOADED_BYTES)
    gate._count("b", limits.UPLOADED_BYTES - 1)
    with pytest.raises(MultiPartException, match="disk of this Space is full"):
        gate._count("d", 1)


def test_an_upload_that_is_cut_short_leaves_nothing(address, watched):
    folder = watched[0] / "uploads"
    before = {path for path in folder.rglob("*") if path.is_file()}
    host, port = address.removeprefix("http://").split(":")
    head = b"POST /gradio_api/upload HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=edge\r\n"
    part = b'--edge\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + bytes(300_000)
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head + b"Content-Length: 9000000\r\n\r\n" + part)
        _wait(lambda: {path for path in folder.rglob("*") if path.is_file()} - before)
    _wait(lambda: not {path for path in folder.rglob("*") if path.is_file()} - before)


def _wait(until):
    deadline = time.monotonic() + 60
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_no_address_is_fetched_for_a_visitor(address, listener):
    urllib.request.urlopen(listener).close()
    assert Listener.hits == 1  # the listener counts
    others = (
        f" {listener}",
        listener.replace("http", "HTTP"),
        f"file://{listener}",
        f"//{listener}",
        "ftp://127.0.0.1",
    )
    for path in (listener, *others, "https://huggingface.co/front/logo.png"):
        assert "Addresses are not fetched" in _refused(address, {"path": path})
    assert "Addresses are not fetched" in _refused(address, {"path": str(SAMPLE), "is_stream": True})
    assert "event: error" in _call(address, {"path": "x", "url": listener})
    for route in ("/gradio_api/file=", "/gradio_api/proxy=", "/gradio_api/file/"):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(address + route + listener)
    assert Listener.hits == 1


def test_files_outside_the_uploads_are_not_read(address):
    with Visitor(address, "127.0.0.6") as visitor:
        answer = _call(address, visitor.upload(SAMPLE)[0])
    assert "event: complete" in answer and "dog" in answer
    for path in ("/etc/passwd", "../../etc/passwd", str(SAMPLE), "/proc/self/environ", "\x00", ""):
        answer = _call(address, {"path": path})
        assert "event: error" in answer and "root:" not in answer and "dog" not in answer
    for path in ("/etc/passwd", "../../../etc/passwd", str(find_app())):
        with pytest.raises(urllib.error.HTTPError, match="40[34]"):
            urllib.request.urlopen(f"{address}/gradio_api/file={path}")


def test_large_requests_are_refused(address):
    for name in ("caption", "upload"):  # only Gradio's own route to upload takes more
        with pytest.raises(urllib.error.HTTPError, match="413"):
            _post(address, f"/gradio_api/call/{name}", b'{"data": ["' + b"a" * 2_000_000 + b'"]}')


def test_data_addresses_are_refused(address):
    data = "data:image/png;base64," + base64.b64encode(SAMPLE.read_bytes()).decode()
    for path in (None, "x"):
        answer = _call(address, {"path": path, "url": data})
        assert "event: error" in answer and "dog" not in answer
    assert "Addresses are not fetched" in _refused(address, {"path": data})


def test_what_is_not_json_is_refused(address):
    for body in (b"{", b"[" * 100_000, b"\xff\xfe"):
        with pytest.raises(urllib.error.HTTPError, match="400"):
            _post(address, "/gradio_api/call/caption", body)


def test_bombs_vector_files_and_programs_are_refused_by_name(space, tmp_path, monkeypatch):
    guard = space("guard")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    bomb = tmp_path / "bomb.png"
    Image.new("1", (10_000, 9_000)).save(bomb)
    assert bomb.stat().st_size < 100_000
    with pytest.raises(ValueError, match="^bomb.png has 10000 x 9000 pixels"):
        guard.open_upload(bomb)
    svg = tmp_path / "a.svg"
    svg.write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    with pytest.raises(ValueError, match="^a.svg is not an image"):
        guard.open_upload(svg)
    program = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(program, "EPS")
    with pytest.raises(ValueError, match="^a.png is not an image"):  # PIL would hand it to Ghostscript
        guard.open_upload(program)


def test_files_that_were_not_uploaded_are_refused(space, tmp_path, monkeypatch):
    guard = space("guard")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with pytest.raises(ValueError, match="^sample.png was not uploaded"):
        guard.open_upload(SAMPLE)
    (tmp_path / "sample.png").write_bytes(SAMPLE.read_bytes())
    assert guard.open_upload(tmp_path / "sample.png").size == (384, 384)


def test_an_upload_is_shown_over_white_whatever_lies_under_nothing(space, tmp_path, monkeypatch):
    guard = space("guard")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "steps: 20, " * 200_000, zip=True)
    for hidden in ((0, 0, 0, 0), (255, 255, 255, 0)):
        Image.new("RGBA", (8, 8), hidden).save(tmp_path / "a.png", pnginfo=text)
        assert guard.open_upload(tmp_path / "a.png").getpixel((3, 3)) == (255, 255, 255)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:100])
    with pytest.raises(ValueError, match=r"^b\.png could not be read: "):
        guard.open_upload(tmp_path / "b.png")
