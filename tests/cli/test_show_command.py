"""`florenz show`: pages of files, folders and streams, past what cannot be read."""

import io
from pathlib import Path
from types import SimpleNamespace

import pytest

from modeling_florenz import BUNDLED_MODEL
from modeling_florenz.cli import main


SAMPLE = BUNDLED_MODEL / "sample.png"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_folder_becomes_a_sheet_past_what_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos").mkdir()
    for name in ("a.png", "b.png"):
        Path("photos", name).write_bytes(SAMPLE.read_bytes())
    Path("photos", "c.png").write_bytes(SAMPLE.read_bytes()[:50])
    Path("photos", "d.heic").write_bytes(b"?")
    assert main(["show", "photos", "--language", "en,zh", "--beams", "1"]) == 1
    output = capsys.readouterr()
    assert output.out == "photos.html\n"
    assert "skipped: photos/c.png could not be read" in output.err and "passed over: photos/d.heic" in output.err
    written = Path("photos.html").read_text(encoding="utf-8")
    assert "2 pictures" in written and 'alt="A picture of dog, bicycle and palm tree."' in written
    assert written.count('lang="zh"') == 5  # two captions, two tables, and the button of the language


def test_an_image_on_standard_input_becomes_a_page(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(SAMPLE.read_bytes())))
    assert main(["show", "-", "--output", "page.html", "--language", "de", "--beams", "1"]) == 0
    assert "<title>standard input · Florenz</title>" in Path("page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("images", "page"),
    [
        (["photos/a.png"], "a.html"),
        (["photos"], "photos.html"),
        (["photos/."], "photos.html"),
        (["photos/a.png", "photos/b.png"], "florenz.html"),
        (["photos/*.png"], "florenz.html"),
    ],
)
def test_a_page_is_named_after_the_one_thing_it_shows(
    images: list[str], page: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("photos").mkdir()
    for name in ("a.png", "b.png"):
        Path("photos", name).write_bytes(SAMPLE.read_bytes())
    assert main(["show", *images, "--language", "en", "--beams", "1"]) == 0
    assert capsys.readouterr().out == f"{page}\n" and Path(page).is_file()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["none.png"], "none.png does not exist"),
        (["https://example.org/a.png"], "curl --location"),
        ([str(SAMPLE), "--language", "xx"], "'xx'"),
        ([str(SAMPLE), "--language", "en,en"], "en is asked for twice"),
        ([str(SAMPLE), "--output", "."], "is a folder"),
        ([str(SAMPLE), "--output", "notes.html"], "is not a page of florenz show"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("notes.html").write_text("mine")
    assert main(["show", *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == "" and output.err.count("\n") == 1 and reason in output.err
    assert Path("notes.html").read_text() == "mine" and len(list(Path().iterdir())) == 1
