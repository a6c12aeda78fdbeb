"""The Space as clients of its API meet it, served on this machine, and what it lets nobody do."""

import argparse
import base64
import csv
import functools
import importlib.util
import io
import itertools
import json
import math
import socket
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin
from space_server import Listener, listen
from space_visitor import Refused, Visitor

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.cli.space import add_commands, find_app


if importlib.util.find_spec("gradio") is None:
    pytest.skip("gradio is not installed: pip install .[space]", allow_module_level=True)

SAMPLE = BUNDLED_MODEL / "sample.png"
SOURCE = "A picture of pet, bike and plant."


@pytest.fixture(scope="module")
def address(watched):
    """Only the address is shared: what is asked is asked as a client does."""
    return watched[1].address


@pytest.fixture(scope="module")
def client(address):
    from gradio_client import Client

    return Client(address, verbose=False)


@pytest.fixture(scope="module")
def picture():
    from gradio_client import handle_file

    return handle_file(SAMPLE)


@pytest.fixture(scope="module")
def space():
    """Import modules of the Space by name."""
    sys.path.insert(0, str(find_app().parent))
    yield importlib.import_module
    sys.path.remove(str(find_app().parent))


@functools.cache
def _refusal():
    from gradio_client.exceptions import AppError

    return AppError


def test_every_action_is_a_named_endpoint(client):
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    names = "caption translate score look_inside look_at_word batch make_scene"
    assert set(named) == {f"/{name}" for name in names.split()}


def test_captions_in_all_languages_arrive_piece_by_piece(client, picture):
    job = client.submit(picture, "all", "caption", False, api_name="/caption")
    texts = job.result()
    assert texts[:2] == ("A picture of dog, bicycle and palm tree.", "Ein Bild: Hund, Fahrrad und Palme.")
    assert len(texts) == 6 and all(texts)
    assert len(job.outputs()) > 12
    assert any(row[0] and not row[1] for row in job.outputs())


def test_one_language_leaves_the_others_empty_and_hides_the_prefix(client, picture):
    texts = client.predict(picture, "de", "caption", True, api_name="/caption")
    assert [bool(text) for text in texts] == [False, True, False, False, False, False]
    assert "Das Bild zeigt" not in texts[1]


def test_captions_by_way_of_english_start_with_the_english_one(client, picture):
    job = client.submit(picture, "all", "caption", False, True, api_name="/caption")
    texts = job.result()
    assert texts[:2] == ("A picture of dog, bicycle and palm tree.", "Ein Bild: Hund, Fahrrad und Palme.")
    assert len(texts) == 6 and all(texts)


def test_the_image_decides_a_translation(client, picture):
    beside, grey, elsewhere, verdict, page = client.predict(picture, SOURCE, "de", None, api_name="/translate")
    assert beside == "Ein Bild: Hund, Fahrrad und Palme."
    assert beside not in (grey, elsewhere) and verdict == "The image changed the translation."
    assert elsewhere == "Ein Bild: Katze, Motorrad und Kaktus."
    assert "<mark>Katze</mark>" in page and "<mark>Hund</mark>" not in page and "<mark>und</mark>" not in page


def test_a_translation_that_the_image_leaves_alone_has_no_marks(client, picture):
    *texts, verdict, page = client.predict(picture, SOURCE, "de", picture, api_name="/translate")
    assert texts[0] == texts[2] and page.count("<mark>") == page.split("With another image")[0].count("<mark>")


def test_the_right_reading_comes_first_and_the_shares_sum_to_one(client, picture):
    right, wrong = "Ein Bild: Hund, Fahrrad und Palme.", "Ein Bild: <b>Katze</b>, Fahrrad und Palme."
    scores, page = client.predict(picture, SOURCE, "de", f"{wrong}\n{right}", api_name="/score")
    assert [score["candidate"] for score in scores] == [right, wrong]
    assert sum(score["share"] for score in scores) == pytest.approx(1)
    odds = math.exp(scores[1]["log_probability"] - scores[0]["log_probability"])  # of whole sentences
    assert scores[1]["share"] / scores[0]["share"] == pytest.approx(odds) and scores[0]["share"] > 0.99
    assert "&lt;b&gt;Katze" in page and "<b>" not in page


def test_words_of_a_caption_have_different_heat_maps(client, picture):
    text, words, first, share, *_ = client.predict(picture, "en", "caption", api_name="/look_inside")
    assert " ".join(word for word, _ in words["choices"]) == text
    other, told = client.predict("3", "0", api_name="/look_at_word")
    assert "dog" in told and "“A”" in share
    assert Image.open(first).tobytes() != Image.open(other).tobytes()


def test_bad_files_of_a_batch_are_reported_and_the_others_kept(client, picture, tmp_path):
    from gradio_client import handle_file

    (tmp_path / "=broken.png").write_bytes(SAMPLE.read_bytes()[:200])
    (tmp_path / "drawing.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    files = [handle_file(tmp_path / "=broken.png"), picture, handle_file(tmp_path / "drawing.svg")]
    table, as_csv, as_lines, summary = client.predict(files, "en", "caption", api_name="/batch")
    assert [bool(row[3]) for row in table["data"]] == [True, False, True]
    assert summary.startswith("1 of 3 files captioned")
    rows = list(csv.DictReader(io.StringIO(Path(as_csv).read_text(encoding="utf-8"))))
    lines = [json.loads(line) for line in Path(as_lines).read_text(encoding="utf-8").splitlines()]
    assert rows[1]["caption"] == lines[1]["caption"] == "A picture of dog, bicycle and palm tree."
    assert not any(row["file"].startswith("=") for row in rows)


def test_a_made_scene_is_captioned_as_drawn(client):
    _, records, _ = client.predict(["🐈", "🍄"], "green", 7, api_name="/make_scene")
    assert len(records) == 6
    assert records[0] == {
        "language": "en",
        "caption": "A picture of cat and mushroom.",
        "drawn": "A picture of cat and mushroom.",
    }


def test_bad_input_is_one_sentence(client, picture):
    cases = [
        ("/caption", (None, "en", "caption", False), "There is no image yet"),
        ("/translate", (picture, " \n", "de", None), "The text is empty"),
        ("/translate", (picture, "a" * 2000, "de", None), "1,000 are allowed"),
        ("/score", (picture, SOURCE, "de", "one"), "write 2 to 6"),
        ("/batch", (None, "en", "caption"), "There are no files yet"),
        ("/batch", ([picture] * 33, "en", "caption"), "32 are allowed"),
        ("/make_scene", ([], "green", 7), "choose 1 to 3"),
    ]
    for name, given, sentence in cases:
        with pytest.raises(_refusal(), match=sentence):
            client.predict(*given, api_name=name)


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
    given = {"data": [{"meta": {"_type": "gradio.FileData"}} | file, "en", "caption", False]}
    event = json.loads(_post(address, f"/gradio_api/call/{name}", json.dumps(given).encode()))["event_id"]
    with urllib.request.urlopen(f"{address}/gradio_api/call/{name}/{event}", timeout=600) as answer:
        return answer.read().decode()


@pytest.fixture
def listener():
    with listen() as host:
        yield f"http://{host}/image.png"


def test_no_call_goes_round_the_line(address):
    for route in ("/gradio_api/run/make_scene", "/gradio_api/api/make_scene"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            _post(address, route, json.dumps({"data": [["🐈"], "green", 7]}).encode())


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


def _sentence(visitor, name, given, pieces):
    """Take some pieces of an answer and leave; return why there are none, if so."""
    try:
        for _ in itertools.islice(visitor.ask(name, given), pieces):
            pass
    except Refused as refused:
        return str(refused)


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
    for path in ("/etc/passwd", "../../etc/passwd", str(SAMPLE), "/proc/self/environ", "\x00", ""):
        answer = _call(address, {"path": path})
        assert "event: error" in answer and "root:" not in answer and "dog" not in answer
    for path in ("/etc/passwd", "../../../etc/passwd", str(find_app())):
        with pytest.raises(urllib.error.HTTPError, match="40[34]"):
            urllib.request.urlopen(f"{address}/gradio_api/file={path}")


def test_large_requests_are_refused(address):
    with pytest.raises(urllib.error.HTTPError, match="413"):
        _post(address, "/gradio_api/call/caption", b'{"data": ["' + b"a" * 2_000_000 + b'"]}')


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


def test_the_command_finds_the_app_and_asks_for_a_possible_port():
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    arguments = parser.parse_args(["space", "--port", "99999"])
    with pytest.raises(ValueError, match="the port is 99999"):
        arguments.run(arguments)


def test_the_space_card_is_valid_for_the_hub():
    import gradio
    import yaml

    text = (find_app().parent / "README.md").read_text(encoding="utf-8")
    card = yaml.safe_load(text.split("---")[1])
    assert card["sdk"] == "gradio" and (find_app().parent / card["app_file"]).is_file()
    assert card["sdk_version"] == gradio.__version__
    assert len(card["short_description"]) <= 60


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
