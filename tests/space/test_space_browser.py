"""The Space in a real browser: every tab by mouse or keyboard, bad files, cancelling, two visitors, accessibility."""

import importlib.util
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import chromium, need_chromium
from PIL import Image
from space_server import serve_space

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL


pytestmark = pytest.mark.slow
need_chromium("gradio")

SAMPLE = BUNDLED_MODEL / "sample.png"
ENGLISH = "A picture of dog, bicycle and palm tree."
TABS = {  # what each story is begun with
    "Caption": "Caption",
    "Translate": "Translate",
    "Readings": "Score",
    "Look inside": "Look inside",
    "Batch": "Caption all",
}
FOLDED = {"Look inside": "Where it looks, word by word and layer by layer", "Batch": "Many pictures at once"}
IDLE = "!document.querySelector('.stage').classList.contains('busy')"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serve_space(FLORENZ_MODEL="florenz-tiny") as served:
        yield served.address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    """Open pages that may talk to the Space alone; what else they ask for is a failure."""
    contexts, outside = [], []

    def open_page(url: str, width: int = 1440, theme: str = "light") -> Any:
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)

        def gate(route: Any) -> None:
            if route.request.url.startswith((url, "data:", "blob:")):
                route.continue_()
            else:
                outside.append(route.request.url)
                route.abort()

        page.route("**/*", gate)
        page.goto(f"{url}/?__theme={theme}")
        page.get_by_role("tab", name="Caption", exact=True).wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not outside


def _panel(page: Any, tab: str) -> Any:
    page.get_by_role("tab", name="Caption" if tab in FOLDED else tab, exact=True).click()
    panel = page.locator("[role=tabpanel]:visible")
    if tab in FOLDED:
        panel.get_by_role("button", name=FOLDED[tab]).click()
        panel = panel.locator(".block").filter(has=page.get_by_role("button", name=FOLDED[tab])).last
    panel.get_by_role("button", name=TABS[tab], exact=True).wait_for()
    return panel


def _use(page: Any, tab: str) -> Any:
    """Do what a tab is for with its first example, and wait for the result."""
    panel = _panel(page, tab)
    # Examples of one column are buttons, others rows of a table.
    panel.locator("tr.tr-body:visible, .gallery-item:visible").first.click()
    page.wait_for_timeout(800)
    panel.get_by_role("button", name=TABS[tab], exact=True).click()
    if tab == "Readings":
        panel.locator("table.florenz-table").wait_for()
    elif tab == "Translate":
        panel.locator("mark").first.wait_for()
    elif tab == "Look inside":
        panel.locator("#words label").nth(3).click()
        _wait_for_value(page, "“dog”")
    else:
        _wait_for_value(page, {"Caption": "棕榈树", "Batch": "3 of 3 files"}[tab])
    return panel


def _wait_for_value(page: Any, part: str) -> None:
    found = "part => [...document.querySelectorAll('[role=tabpanel] textarea, [role=tabpanel] input')]"
    page.wait_for_function(f"{found}.some(box => box.checkVisibility() && box.value.includes(part))", arg=part)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_every_tab_works_fits_the_page_and_is_accessible(
    address: str, visit: Any, width: int, theme: str, tmp_path: Path
) -> None:
    axe = importlib.util.find_spec("axe_playwright_python") is not None
    page = visit(address, width, theme)
    shots = Path(os.environ.get("FLORENZ_SHOTS", tmp_path))
    for number, tab in enumerate(TABS):
        _use(page, tab)
        page.wait_for_timeout(700)  # a picture fades in
        page.screenshot(path=shots / f"{number}_{theme}_{width}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, tab
        if axe:
            from axe_playwright_python.sync_playwright import Axe

            found = Axe().run(page).response["violations"]
            serious = [
                (one["id"], one["nodes"][0]["html"][:200]) for one in found if one["impact"] in ("serious", "critical")
            ]
            assert not serious, (tab, serious)


def _stage_is_idle(page: Any) -> None:
    page.wait_for_timeout(100)
    page.wait_for_function(IDLE)


def _sayings(page: Any) -> list[str]:
    return [text.replace("\n", "") for text in page.locator(".saying p").all_inner_texts()]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_stage_lands_on_captions_and_a_lit_word_and_is_accessible(
    address: str, visit: Any, width: int, theme: str, tmp_path: Path
) -> None:
    page = visit(address, width, theme)
    page.locator(".picture.lit").wait_for()
    assert _sayings(page)[:2] == ["A picture of dog and bicycle.", "Ein Bild: Hund und Fahrrad."]
    assert "without the bicycle in the picture" in page.locator(".readout").inner_text()
    assert page.locator(".never").count() == 4
    assert page.locator(".open").bounding_box()["y"] < 844 and page.get_by_role("tab").count() == 4
    assert all(tab.is_visible() for tab in page.get_by_role("tab").all())
    page.wait_for_timeout(500)
    page.screenshot(path=Path(os.environ.get("FLORENZ_SHOTS", tmp_path)) / f"stage_{theme}_{width}.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if importlib.util.find_spec("axe_playwright_python") is not None:
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(page).response["violations"]
        bad = [one for one in found if one["impact"] in ("serious", "critical")]
        assert not bad, [(one["id"], [node["html"][:160] for node in one["nodes"]]) for one in bad]


def test_a_composed_scene_is_captioned_shared_reloaded_and_left_by_back(address: str, visit: Any) -> None:
    page = visit(address)
    page.locator(".picture.lit").wait_for()
    page.get_by_role("button", name="Add a thing").click()
    page.get_by_label("Search things").fill("mushroom")
    page.locator(".pick").first.click()
    _stage_is_idle(page)
    said = _sayings(page)
    assert said[0].startswith("A picture of dog,") and said[0].endswith("and mushroom.")
    link = page.url
    page.get_by_role("button", name="red", exact=True).click()
    _stage_is_idle(page)
    assert page.url != link
    page.go_back()
    _stage_is_idle(page)
    assert page.url == link and page.locator(".swatch[aria-pressed=true]").get_attribute("title") == "green"
    page.reload()
    page.locator(".handle").nth(2).wait_for()
    _stage_is_idle(page)
    assert _sayings(page) == said
    page.get_by_role("tab", name="Translate").click()
    page.wait_for_timeout(300)
    assert "tab=translate" in page.url


def test_things_are_dragged_and_moved_and_taken_away_by_keyboard(address: str, visit: Any) -> None:
    page = visit(address)
    page.locator(".picture.lit").wait_for()
    box = page.locator(".handle").first.bounding_box()
    frame = page.locator(".picture").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    for share in (0.4, 0.6, 0.8):
        page.mouse.move(frame["x"] + share * frame["width"], frame["y"] + 0.75 * frame["height"])
        page.wait_for_timeout(60)
    page.mouse.up()
    page.locator(".handle").nth(1).focus()
    for _ in range(7):
        page.keyboard.press("ArrowLeft")
    _stage_is_idle(page)
    page.wait_for_timeout(3000)
    _stage_is_idle(page)
    assert _sayings(page)[0] == "A picture of bicycle and dog."
    page.get_by_role("button", name="bicycle: drag").focus()  # buttons are in the order in which things came
    page.keyboard.press("Delete")
    _stage_is_idle(page)
    # A thing alone at the edge is nothing the model was shown: it may say it twice.
    assert page.locator(".handle").count() == 1
    assert "dog" in _sayings(page)[0] and "bicycle" not in _sayings(page)[0]
    page.locator(".handle").first.focus()
    page.keyboard.press("Delete")
    assert "at least one thing" in page.locator(".problem").inner_text()


def test_a_word_shows_its_place_by_touch_and_by_keyboard(address: str, visit: Any) -> None:
    page = visit(address, 390)
    page.locator(".picture.lit").wait_for()
    page.locator(".saying[lang=de] .word").nth(2).click()
    assert "“Hund”" in page.locator(".readout").inner_text()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.locator(".saying[lang=fr] .word[aria-pressed=true]").count() == 1


def test_a_bad_picture_is_told_on_the_stage_and_its_captions_stay(address: str, visit: Any, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(SAMPLE.read_bytes()[:2000])
    page = visit(address)
    page.locator(".picture.lit").wait_for()
    page.get_by_role("button", name="Your own picture").click()
    page.locator("#own input[type=file]").set_input_files(str(tmp_path / "broken.png"))
    page.locator(".problem").get_by_text("could not be read").wait_for()
    assert _sayings(page)[0] == "A picture of dog and bicycle."


def test_the_space_is_ready_and_captions_within_seconds(visit: Any) -> None:
    start = time.monotonic()
    with serve_space(FLORENZ_MODEL="florenz-tiny") as served:
        ready = time.monotonic() - start
        page = visit(served.address)
        page.locator(".word").first.wait_for()
        painted = time.monotonic() - start - ready
        _panel(page, "Caption")
        page.locator("tr.tr-body:visible").first.click()
        page.wait_for_timeout(1000)
        start = time.monotonic()
        page.get_by_role("button", name="Caption", exact=True).click()
        _wait_for_value(page, "A picture")
        first = time.monotonic() - start
        _wait_for_value(page, "棕榈树")
        six = time.monotonic() - start
        print(f"ready after {ready:.1f} s, painted with captions {painted:.2f} s later")
        print(f"first words {first:.2f} s, six captions {six:.2f} s")
        assert ready < 20
        assert six < 5


def _walk_to(page: Any, name: str, role: str) -> None:
    """Press Tab until what has the focus carries a name and a role."""
    focused = (
        "[document.activeElement.innerText || document.activeElement.ariaLabel || '', document.activeElement.role]"
    )
    for _ in range(60):
        page.keyboard.press("Tab")
        text, kind = page.evaluate(focused)
        if text.strip().startswith(name) and (kind or "button") == role:
            return
    raise AssertionError(f"{role} {name!r} is not reached by keyboard")


@pytest.mark.parametrize("tab", [tab for tab in TABS if tab not in FOLDED])
def test_every_tab_needs_no_mouse(address: str, visit: Any, tab: str) -> None:
    page = visit(address)
    _walk_to(page, tab, "tab")
    page.keyboard.press("Enter")
    panel = page.locator("[role=tabpanel]:visible")
    panel.get_by_role("button", name=TABS[tab], exact=True).wait_for()
    _walk_to(page, *(("sample.png", "button") if tab == "Batch" else ("", "gridcell")))
    page.keyboard.press("Enter")
    page.wait_for_timeout(1500)
    page.get_by_role("tab", name=tab, exact=True).focus()
    _walk_to(page, TABS[tab], "button")
    page.keyboard.press("Enter")
    if tab == "Readings":
        panel.locator("table.florenz-table").wait_for()
    elif tab == "Translate":
        panel.locator("mark").first.wait_for()
    else:
        _wait_for_value(page, "棕榈树")


def test_a_caption_needs_no_mouse(address: str, visit: Any) -> None:
    page = visit(address)
    _panel(page, "Caption")
    page.locator("[role=tabpanel]:visible input[type=file]").first.set_input_files(str(SAMPLE))
    page.get_by_alt_text("The image to caption").wait_for()
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.innerText || document.activeElement.ariaLabel || ''"))
        if reached[-1].strip() == "Caption" and page.evaluate("document.activeElement.role") != "tab":
            break
    start = time.monotonic()
    page.keyboard.press("Enter")
    _wait_for_value(page, "A picture")
    assert time.monotonic() - start < 5, reached
    _wait_for_value(page, ENGLISH)


def test_words_are_chosen_without_a_mouse(address: str, visit: Any) -> None:
    page = visit(address)
    panel = _use(page, "Look inside")
    panel.locator("#words input").nth(3).focus()
    page.keyboard.press("Tab")  # Gradio gives each choice a group of its own, so that arrows do not move
    page.keyboard.press("Space")
    _wait_for_value(page, "“bicycle”")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("broken.png", "could not be read"),
        ("huge.png", "9000 x 7000 pixels"),
        ("text.png", "is not an image"),
        ("drawing.svg", "is not an image"),
    ],
)
def test_a_bad_file_is_one_sentence_on_the_page(
    address: str, visit: Any, tmp_path: Path, name: str, sentence: str
) -> None:
    (tmp_path / "broken.png").write_bytes(SAMPLE.read_bytes()[:2000])
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "drawing.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    if name == "huge.png":
        Image.new("1", (9_000, 7_000)).save(tmp_path / name)
    page = visit(address)
    _panel(page, "Caption")
    page.locator("[role=tabpanel]:visible input[type=file]").first.set_input_files(str(tmp_path / name))
    page.wait_for_timeout(1500)
    page.get_by_role("button", name="Caption", exact=True).click()
    page.locator(".toast-body").get_by_text(sentence).first.wait_for()


def test_text_is_shown_as_text(address: str, visit: Any) -> None:
    page = visit(address)
    panel = _panel(page, "Readings")
    panel.locator("tr.tr-body").first.click()
    page.wait_for_timeout(800)
    page.evaluate("window.touched = false")
    hostile = "<img src=x onerror='window.touched=true'>**bold**"
    panel.get_by_label("Candidates, one per line (2 to 6)").fill(f"{hostile}\nEin Bild: Hund.")
    panel.get_by_role("button", name="Score", exact=True).click()
    panel.locator("table.florenz-table").get_by_text("onerror").wait_for()
    assert panel.locator("table.florenz-table img, table.florenz-table strong").count() == 0
    assert page.evaluate("window.touched") is False


def test_two_visitors_are_served_at_once_each_with_their_own(address: str, visit: Any) -> None:
    pages = [visit(address), visit(address)]
    for number, page in enumerate(pages):
        _panel(page, "Caption")
        page.locator("tr.tr-body:visible").nth(number).click()
        page.wait_for_timeout(800)
    for page in pages:
        page.get_by_role("button", name="Caption", exact=True).click()
    for page, text in zip(pages, (ENGLISH, "A picture of cat and mushroom."), strict=True):
        _wait_for_value(page, text)


def test_cancel_stops_a_caption_and_the_next_one_works(visit: Any, tmp_path: Path) -> None:
    endless = tmp_path / "endless"
    shutil.copytree(BUNDLED_MODEL, endless)
    settings = json.loads((endless / "generation_config.json").read_text())
    # A model that never ends a caption, so that there is something to cancel.
    settings |= {"min_new_tokens": 240, "max_new_tokens": 240}
    (endless / "generation_config.json").write_text(json.dumps(settings))
    with serve_space(FLORENZ_MODEL=str(endless)) as served:
        page = visit(served.address)
        _panel(page, "Caption")
        assert page.get_by_text("knows emoji scenes").count() == 0
        assert page.locator(".palette").count() == 0
        page.locator("tr.tr-body:visible").first.click()
        page.wait_for_timeout(800)
        page.get_by_role("button", name="Caption", exact=True).click()
        _wait_for_value(page, "A picture")
        page.get_by_role("button", name="Cancel", exact=True).click()
        page.wait_for_timeout(1000)
        values = "[...document.querySelectorAll('textarea')].map(box => box.value).join('|')"
        stopped = page.evaluate(values)
        page.wait_for_timeout(2500)
        assert page.evaluate(values) == stopped
        assert "棕榈树" not in stopped
        page.get_by_role("button", name="Caption", exact=True).click()
        page.wait_for_function(f"before => {values} !== before", arg=stopped)
