"""Pages hold all that they show, take user text as data, and write over nothing else."""

import base64
import html.parser
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modeling_florenz.data.image_inputs import ImageInput
from modeling_florenz.inference.captioner import SAMPLE_IMAGE, Captioner
from modeling_florenz.inference.gallery.exhibits import Exhibit, Saying, Word, make_exhibit
from modeling_florenz.inference.gallery.page import PageInfo, write_page


HOSTILE = "</script><img src=x onerror=alert(1)>\"'&"
LANGUAGES = {"en": "English", "ar": "arabic"}


class Elements(html.parser.HTMLParser):
    """Collect the elements of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def exhibit(name: str = "photo.jpg", text: str = "A dog.", is_unknown: bool = False) -> Exhibit:
    places = np.zeros((2, 2), np.uint8)
    words = [Word(" " * bool(index), word, 0.4, 0.9, 1.0, places) for index, word in enumerate(text.split())]
    sayings = [Saying("en", text, words, 0.4), Saying("ar", "كلب", [Word("", "كلب", 0.9, 0.5, 1.0, places)], 0.9)]
    picture = io.BytesIO()
    Image.new("RGB", (8, 6), "red").save(picture, "WEBP")
    return Exhibit(name, picture.getvalue(), (8, 6), (80, 60), sayings, is_unknown)


def page(tmp_path: Path, *exhibits: Exhibit, title: str = "photos") -> str:
    write_page(tmp_path / "page.html", PageInfo(title, len(exhibits), LANGUAGES, "florenz-tiny"), exhibits)
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_page_asks_no_network_for_anything(tmp_path: Path) -> None:
    written = page(tmp_path, exhibit(), exhibit("other.jpg"))
    elements = Elements(written)
    asked = [
        (tag, attributes[name])
        for tag, attributes in elements.found
        for name in ("src", "href", "srcset", "data", "action", "poster")
        if attributes.get(name)
    ]
    assert asked and all(value.startswith(("data:", "#")) for _, value in asked if value is not None)
    assert not re.search(r"url\(|@import|https?://|fetch\(|XMLHttp", written)
    [policy] = [meta for meta in elements.named("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert str(policy["content"]).startswith("default-src 'none'; img-src data:;")


def test_names_titles_and_captions_are_data(tmp_path: Path) -> None:
    written = page(tmp_path, exhibit(HOSTILE, HOSTILE), exhibit("a\n\x1b.png"), title=HOSTILE)
    elements = Elements(written)
    assert len(elements.named("script")) == 1
    assert all(image["src"].startswith("data:image/webp;base64,") for image in elements.named("img"))
    assert not any(name.startswith("on") for _, attributes in elements.found for name in attributes)
    assert elements.named("img")[0]["alt"] == HOSTILE
    assert "a\\n\\x1b.png" in written and "\x1b" not in written


def test_several_pictures_are_a_sheet_and_one_is_not(tmp_path: Path) -> None:
    assert "13 pictures" not in (one := page(tmp_path, exhibit())) and 'class="tongues"' not in one
    many = page(tmp_path, *[exhibit(f"{index}.jpg") for index in range(13)])
    assert "13 pictures" in many and len(Elements(many).named("article")) == 13
    assert [link["href"] for link in Elements(many).named("a") if link.get("class") == "picture"][-1] == "#13"


def test_what_the_model_does_not_know_is_said(tmp_path: Path) -> None:
    assert "mean nothing" not in page(tmp_path, exhibit())
    written = page(tmp_path, exhibit(), exhibit(is_unknown=True))
    assert "Its words on 1 of these 2 pictures probably mean nothing" in written
    assert written.count("Of this picture, its words probably mean nothing") == 1


def test_languages_are_told_by_their_own_names_and_directions(tmp_path: Path) -> None:
    written = page(tmp_path, exhibit())
    assert '<span class="tongue">English</span>' in written and '<span class="tongue">Arabic</span>' in written
    assert all(text["dir"] == "auto" for text in Elements(written).named("p") if "dir" in text)
    assert {saying["lang"] for saying in Elements(written).named("div") if "lang" in saying} == {"en", "ar"}


def test_only_a_page_of_this_kind_is_written_over(tmp_path: Path) -> None:
    first = page(tmp_path, exhibit())
    assert page(tmp_path, exhibit()) == first  # and the same is written again
    (tmp_path / "page.html").write_text("<h1>My own page</h1>")
    with pytest.raises(ValueError, match="is not a page of florenz show: give another name"):
        page(tmp_path, exhibit())
    assert (tmp_path / "page.html").read_text() == "<h1>My own page</h1>"
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="is a folder: give the page a name"):
        write_page(tmp_path / "folder", PageInfo("photos", 1, LANGUAGES, ""), [exhibit()])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "page.html"]


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return Captioner()


def test_an_exhibit_holds_what_the_model_says_and_where_it_looks(captioner: Captioner, tmp_path: Path) -> None:
    made = make_exhibit(captioner, ImageInput("sample.png", SAMPLE_IMAGE), captioner.languages)
    [texts] = captioner.caption_languages([SAMPLE_IMAGE])
    assert {saying.language: saying.text for saying in made.sayings} == texts
    for saying in made.sayings:
        assert "".join(word.before + word.text for word in saying.words) == saying.text
        assert max(word.strength for word in saying.words) == 1.0
        assert max(int(word.places.max()) for word in saying.words) == 255
    assert not made.is_unknown
    [encoded] = [image["src"] for image in Elements(page(tmp_path, made)).named("img")]
    shown = Image.open(io.BytesIO(base64.b64decode(str(encoded).partition(",")[2])))
    assert shown.size == made.shown == made.size


def test_pictures_of_other_kinds_are_unknown_to_the_bundled_model(captioner: Captioner, tmp_path: Path) -> None:
    Image.linear_gradient("L").resize((90, 60)).save(tmp_path / "grey.png")
    made = make_exhibit(captioner, ImageInput("grey.png", tmp_path / "grey.png"), ["en", "de"])
    assert made.is_unknown and made.size == (90, 60)


def test_pictures_are_kept_smaller_the_more_there_are(captioner: Captioner, tmp_path: Path) -> None:
    Image.new("RGB", (2000, 1000), "red").save(tmp_path / "large.png")
    image = ImageInput("large.png", tmp_path / "large.png")
    sides = [make_exhibit(captioner, image, ["en"], num_beams=1, pictures=many).shown[0] for many in (1, 60, 500)]
    assert sides == [1600, 1024, 512]
