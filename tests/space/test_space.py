"""The Space as clients of its API meet it, served on this machine."""

import argparse
import csv
import functools
import importlib.util
import io
import json
import math
from pathlib import Path

import pytest
from PIL import Image

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.cli.space import add_commands, find_app


if importlib.util.find_spec("gradio") is None:
    pytest.skip("gradio is not installed: pip install .[space]", allow_module_level=True)

SAMPLE = BUNDLED_MODEL / "sample.png"
SOURCE = "A picture of pet, bike and plant."


@pytest.fixture(scope="module")
def client(address):
    from gradio_client import Client

    return Client(address, verbose=False)


@pytest.fixture(scope="module")
def picture():
    from gradio_client import handle_file

    return handle_file(SAMPLE)


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
    assert "dog" in told and "“bicycle”" in share  # the word that shows its place best
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
