"""The command line on the bundled checkpoint: what it prints, and one sentence for every kind of bad input."""

import io
import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.cli import main
from modeling_florenz.data.emoji_scenes.wording import LANGUAGES


SAMPLE = BUNDLED_MODEL / "sample.png"


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of inputs that cannot work."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "text.png").write_text("no image")
    (folder / "empty.png").touch()
    (folder / "cut.png").write_bytes(SAMPLE.read_bytes()[:2000])
    Image.new("1", (20_000, 20_000)).save(folder / "bomb.png")
    (folder / "empty_folder").mkdir()
    (folder / "drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")

    def model(name: str) -> Path:
        copy = folder / name
        shutil.copytree(BUNDLED_MODEL, copy)
        return copy

    (model("no_weights") / "model.safetensors").unlink()
    weights = model("cut_weights") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    (model("no_config") / "config.json").unlink()
    (model("bad_config") / "config.json").write_text("{")
    (model("no_tokenizer") / "tokenizer.json").unlink()
    config = json.loads((BUNDLED_MODEL / "config.json").read_text())
    (model("other_kind") / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (model("research") / "config.json").write_text(json.dumps({"model_type": "florence2", "text_config": {}}))
    config["cross_attention_every_n_layers"] = 0
    (model("bad_value") / "config.json").write_text(json.dumps(config))
    return folder


TRANSLATE = ("translate", str(SAMPLE), "--language", "de", "--text")
SCORE = ("score", str(SAMPLE), "--text", "A picture of ball.")
# arguments, what the sentence must say; {} is the folder of broken inputs
BAD_INPUTS = [
    (("captoin", "photo.jpg"), "captoin"),
    (("describe", "a.png"), "describe"),
    (("caption",), "IMAGE"),
    (("caption", "{}/missing.png"), "missing.png does not exist"),
    (("caption", "{}/missing.png", "--model", "{}/empty_folder"), "missing.png does not exist"),  # no model is loaded
    (("caption", "https://example.org/a b.jpg"), "curl --location --output 'a b.jpg' 'https://example.org/a b.jpg'"),
    (("caption", "https://example.org/?size=[1]"), "curl --location --output image 'https://example.org/?size=[1]'"),
    (("caption", "s3://bucket/photo.jpg"), "nothing is downloaded: fetch the file first"),
    (("translate", "http://example.org/a.jpg", "--language", "de", "--text", "A dog."), "curl --location"),
    (("caption", "{}/text.png"), "text.png is not an image"),
    (("caption", "{}/empty.png"), "empty.png is not an image"),
    (("caption", "{}/cut.png"), "cut.png could not be read"),
    (("caption", "{}/bomb.png"), "bomb.png has too many pixels"),
    (("caption", "{}/drawing.svg"), "drawing.svg is not an image"),
    (("caption", "{}/empty_folder"), "holds no image"),
    (("caption", str(SAMPLE), "--language", "xx"), "'xx'"),
    (("caption", str(SAMPLE), "--language", ""), "language ''"),
    (("caption", str(SAMPLE), "--task", "poem"), "'poem'"),
    (("caption", str(SAMPLE), "--task", "translate"), "'translate'"),
    (("caption", str(SAMPLE), "--via", "de"), "'de'"),
    (("caption", str(SAMPLE), "--language", "xx", "--via", "en"), "'xx'"),
    (("caption", str(SAMPLE), "--beams", "0"), "--beams"),
    (("caption", str(SAMPLE), "--beams", "four"), "'four'"),
    (("caption", str(SAMPLE), "--batch-size", "-1"), "--batch-size"),
    (("caption", str(SAMPLE), "--poem"), "--poem"),
    (("translate", str(SAMPLE), "--language", "de"), "--text"),
    ((*TRANSLATE, ""), "needs a text"),
    ((*TRANSLATE, "   "), "needs a text"),
    (("translate", str(SAMPLE), "--text", "A dog."), "--language"),
    (("translate", "{}/empty_folder", "--language", "de", "--text", "A dog."), "is a folder"),
    (("translate", str(SAMPLE), "--language", "klingon", "--text", "A dog."), "'klingon'"),
    ((*SCORE, "--language", "de"), "--candidate"),
    ((*SCORE, "--language", "de", "--candidate", "Ein Ball."), "at least twice"),
    ((*SCORE, "--language", "de", "--candidate", "Ein Ball.", "--candidate", ""), "empty"),
    (("caption", str(SAMPLE), "--model", "{}/nothing_here"), "nothing_here"),
    (("caption", str(SAMPLE), "--model", "{}/no_weights"), "no_weights could not be loaded"),
    (("caption", str(SAMPLE), "--model", "{}/cut_weights"), "cut_weights could not be loaded"),
    (("caption", str(SAMPLE), "--model", "{}/no_config"), "no_config holds no readable config.json"),
    (("caption", str(SAMPLE), "--model", "{}/bad_config"), "bad_config holds no readable config.json"),
    (("caption", str(SAMPLE), "--model", "{}/no_tokenizer"), "no_tokenizer could not be loaded"),
    (("caption", str(SAMPLE), "--model", "{}/other_kind"), "'bert'"),
    (("caption", str(SAMPLE), "--model", "{}/research"), "research code"),
    (("caption", str(SAMPLE), "--model", "{}/bad_value"), "cross_attention_every_n_layers is 0"),
]


@pytest.mark.parametrize(("arguments", "reason"), BAD_INPUTS, ids=[reason for _, reason in BAD_INPUTS])
def test_bad_input_gets_one_sentence_and_exit_code_2(
    arguments: tuple[str, ...], reason: str, broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main([argument.replace("{}", str(broken)) for argument in arguments])
    except SystemExit as exit_:
        code = exit_.code
    output = capsys.readouterr()
    assert code == 2
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert output.err.startswith("florenz")
    assert reason in output.err
    assert "Traceback" not in output.err


def test_bad_image_among_good_ones_is_reported_and_the_rest_is_done(
    broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["caption", str(SAMPLE), str(broken / "cut.png"), str(SAMPLE), "--json", "--beams", "1"])
    output = capsys.readouterr()
    assert code == 1
    rows = [json.loads(line) for line in output.out.splitlines()]
    assert [row["image"] for row in rows] == [str(SAMPLE)] * 2
    assert rows[0]["text"] == rows[1]["text"] != ""
    assert "cut.png" in output.err
    assert output.err.splitlines()[-1] == "florenz: 2 done, 1 skipped, 0 passed over"


def test_sample_is_captioned_right_in_six_languages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["caption", str(SAMPLE), "--language", "all"]) == 0
    rows = dict(line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert list(rows) == list(LANGUAGES)
    assert rows == {
        "en": "A picture of dog, bicycle and palm tree.",
        "de": "Ein Bild: Hund, Fahrrad und Palme.",
        "fr": "Une image : chien, vélo et palmier.",
        "es": "Una imagen: perro, bicicleta y palmera.",
        "ru": "Картинка: собака, велосипед и пальма.",
        "zh": "图片：狗、自行车和棕榈树。",
    }


def test_captions_by_way_of_english_are_printed_as_others_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["caption", str(SAMPLE), "--language", "de", "--via", "en", "--json"]) == 0
    [record] = map(json.loads, capsys.readouterr().out.splitlines())
    assert (record["language"], record["text"]) == ("de", "Ein Bild: Hund, Fahrrad und Palme.")
    assert record["via"] == "en"


def test_prefix_is_not_part_of_the_caption(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["caption", str(SAMPLE), "--language", "fr", "--prefix"]) == 0
    assert capsys.readouterr().out == "fr\tChien, vélo et palmier.\n"


def test_image_decides_what_an_ambiguous_word_means(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["translate", str(SAMPLE), "--language", "de", "--text", "A picture of pet, bike and plant."]) == 0
    assert "Hund" in capsys.readouterr().out
    candidates = (
        "--candidate",
        "Ein Bild: Katze, Fahrrad und Palme.",
        "--candidate",
        "Ein Bild: Hund, Fahrrad und Palme.",
    )
    assert (
        main([*SCORE[:3], "A picture of pet, bicycle and palm tree.", "--language", "de", *candidates, "--json"]) == 0
    )
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["winner"] for row in rows] == [False, True]


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="this system has no names for open pipes")
def test_an_image_that_comes_through_a_pipe_is_read_once(capsys: pytest.CaptureFixture[str]) -> None:
    content = io.BytesIO()
    Image.open(SAMPLE).save(content, "WEBP")
    reader, writer = os.pipe()  # as a shell makes it for <(command); it has room for all of the image
    os.write(writer, content.getvalue())
    os.close(writer)
    assert main(["caption", f"/dev/fd/{reader}"]) == 0
    os.close(reader)
    assert capsys.readouterr().out == "en\tA picture of dog, bicycle and palm tree.\n"


def test_a_picture_that_pil_hands_to_another_program_is_refused(tmp_path, capsys):
    path = tmp_path / "picture.eps"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n")
    assert main(["caption", str(path)]) == 2
    assert "is not an image that can be read" in capsys.readouterr().err
