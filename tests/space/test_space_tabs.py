"""The tabs in a real browser: by mouse and by keyboard, bad files, cancelling, two visitors, accessibility."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from chromium import need_chromium
from PIL import Image
from space_pages import FOLDED, TABS, open_tab, serious_findings, shoot, try_first, wait_for_result, wait_for_value
from space_server import serve_space

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.data.emoji_scenes.world import EmojiWorld


SAMPLE = BUNDLED_MODEL / "sample.png"
ENGLISH = "A picture of dog, bicycle and palm tree."

pytestmark = pytest.mark.slow
need_chromium("gradio", "axe_playwright_python")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_every_tab_works_fits_the_page_and_is_accessible(
    space_address: str, visit: Any, width: int, theme: str, tmp_path: Path
) -> None:
    page = visit(space_address, width, theme)
    for number, tab in enumerate(TABS):
        try_first(page, tab)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, tab
        assert not serious_findings(page), tab
        shoot(page, tmp_path, f"{number}_{theme}_{width}", whole=True)


def test_the_space_is_ready_and_captions_within_seconds(visit: Any) -> None:
    start = time.monotonic()
    with serve_space(FLORENZ_MODEL="florenz-tiny") as served:
        ready = time.monotonic() - start
        page = visit(served.address)
        page.locator(".word").first.wait_for()
        painted = time.monotonic() - start - ready
        open_tab(page, "Caption")
        start = time.monotonic()
        page.locator("tr.tr-body:visible").nth(1).click()
        wait_for_value(page, "A picture of cat")
        first = time.monotonic() - start
        wait_for_value(page, "蘑菇")
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
def test_every_tab_needs_no_mouse(space_address: str, visit: Any, tab: str) -> None:
    page = visit(space_address)
    _walk_to(page, tab, "tab")
    page.keyboard.press("Enter")
    panel = page.locator("[role=tabpanel]:visible")
    panel.get_by_role("button", name=TABS[tab], exact=True).wait_for()
    _walk_to(page, *(("sample.png", "button") if tab == "Batch" else ("", "gridcell")))
    page.keyboard.press("Enter")
    wait_for_result(page, panel, tab)
    page.get_by_role("tab", name=tab, exact=True).focus()
    _walk_to(page, TABS[tab], "button")
    page.keyboard.press("Enter")
    wait_for_result(page, panel, tab)
    assert panel.locator(".florenz-trouble").count() == 0


def test_a_caption_needs_no_mouse(space_address: str, visit: Any, tmp_path: Path) -> None:
    world = EmojiWorld(image_size=384)
    world.render(world.from_emoji(["🐈", "🍄"], "green", seed=7)).save(tmp_path / "cat.png")
    page = visit(space_address)
    panel = open_tab(page, "Caption")
    before = page.get_by_alt_text("The image to caption").get_attribute("src")
    panel.locator("input[type=file]").first.set_input_files(str(tmp_path / "cat.png"))
    page.wait_for_function("src => document.querySelector('[alt=\"The image to caption\"]')?.src !== src", arg=before)
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.innerText || document.activeElement.ariaLabel || ''"))
        if reached[-1].strip() == "Caption" and page.evaluate("document.activeElement.role") != "tab":
            break
    else:
        raise AssertionError(f"the button is not among {reached}")
    start = time.monotonic()
    page.keyboard.press("Enter")
    wait_for_value(page, "A picture of cat")
    assert time.monotonic() - start < 5, reached
    wait_for_value(page, "A picture of cat and mushroom.")


def test_words_are_chosen_without_a_mouse(space_address: str, visit: Any) -> None:
    page = visit(space_address)
    panel = try_first(page, "Look inside")
    panel.locator("#words input").nth(3).focus()
    page.keyboard.press("Tab")  # Gradio gives each choice a group of its own, so that arrows do not move
    page.keyboard.press("Space")
    wait_for_value(page, "“bicycle”")


def test_tabs_begin_with_something_finished_and_marked_so(space_address: str, visit: Any) -> None:
    page = visit(space_address)
    for tab, found in (("Caption", "棕榈树"), ("Translate", "Katze"), ("Readings", "100.0%")):
        panel = open_tab(page, tab)
        panel.get_by_text("written when the Space started").first.wait_for()
        if tab == "Caption":
            wait_for_value(page, found)
        else:
            panel.get_by_text(found).first.wait_for()


@pytest.mark.parametrize("width", [1440, 390])
def test_a_reload_keeps_what_was_filled_in_and_answered(
    space_address: str, visit: Any, width: int, tmp_path: Path
) -> None:
    Image.open(SAMPLE).rotate(90).save(tmp_path / "mine.png")
    page = visit(space_address, width)
    panel = open_tab(page, "Translate")
    panel.locator("input[type=file]").first.set_input_files(str(tmp_path / "mine.png"))
    page.locator("img[src*='mine.png']").wait_for()
    panel.get_by_label("English text").first.fill("A picture of pet.")
    panel.get_by_label("Language").click()
    page.get_by_role("option", name="French (fr)").click()
    panel.get_by_role("button", name="Translate", exact=True).click()
    panel.get_by_text("written when the Space started").wait_for(state="hidden")
    answered = panel.locator(".florenz-columns").inner_text()
    assert "Une image" in answered
    panel = open_tab(page, "Readings")
    panel.get_by_label("Candidates, one per line (2 to 6)").fill("Ein Bild: Hund.\nEin Bild: Affe.")
    panel = open_tab(page, "Caption")
    panel.get_by_label("Detailed").first.check()
    page.wait_for_timeout(500)
    page.reload()
    page.get_by_role("tab", name="Caption", exact=True).wait_for()
    page.wait_for_function("document.querySelector('[role=tab][aria-selected=true]').textContent.trim() === 'Caption'")
    panel = page.locator("[role=tabpanel]:visible")
    panel.get_by_label("Detailed").first.wait_for()
    assert panel.get_by_label("Detailed").first.is_checked()
    page.go_back()
    page.wait_for_function(
        "document.querySelector('[role=tab][aria-selected=true]').textContent.trim() === 'Readings'"
    )
    candidates = panel.get_by_label("Candidates, one per line (2 to 6)")
    assert candidates.input_value() == "Ein Bild: Hund.\nEin Bild: Affe."
    page.go_back()
    page.locator("img[src*='mine.png']").wait_for()
    assert panel.get_by_label("English text").first.input_value() == "A picture of pet."
    assert panel.get_by_label("Language").input_value() == "French (fr)"
    assert panel.locator(".florenz-columns").inner_text() == answered
    # What is kept can be used: the picture, too.
    panel.get_by_label("English text").first.fill("A picture of bike.")
    panel.get_by_role("button", name="Translate", exact=True).click()
    page.wait_for_function("said => document.querySelector('.florenz-columns').innerText !== said", arg=answered)
    assert panel.locator(".florenz-trouble").count() == 0
    # Another visitor has nothing of it.
    other = visit(space_address, width)
    assert open_tab(other, "Translate").get_by_label("English text").first.input_value() != "A picture of bike."


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
    space_address: str, visit: Any, tmp_path: Path, name: str, sentence: str
) -> None:
    (tmp_path / "broken.png").write_bytes(SAMPLE.read_bytes()[:2000])
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "drawing.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    if name == "huge.png":
        Image.new("1", (9_000, 7_000)).save(tmp_path / name)
    page = visit(space_address)
    panel = open_tab(page, "Caption")
    with page.expect_response(lambda answer: answer.url.partition("?")[0].endswith("/upload")) as uploaded:
        panel.locator("input[type=file]").first.set_input_files(str(tmp_path / name))
    assert uploaded.value.ok
    # What a form holds is kept for a reload.
    page.wait_for_function("name => Object.values(sessionStorage).some(kept => kept.includes(name))", arg=name)
    panel.get_by_role("button", name="Caption", exact=True).click()
    panel.locator(".florenz-trouble").get_by_text(sentence).wait_for()


def test_text_is_shown_as_text(space_address: str, visit: Any) -> None:
    page = visit(space_address)
    panel = try_first(page, "Readings")
    page.evaluate("window.touched = false")
    hostile = "<img src=x onerror='window.touched=true'>**bold**"
    panel.get_by_label("Candidates, one per line (2 to 6)").fill(f"{hostile}\nEin Bild: Hund.")
    panel.get_by_role("button", name="Score", exact=True).click()
    panel.locator("table.florenz-table").get_by_text("onerror").wait_for()
    assert panel.locator("table.florenz-table img, table.florenz-table strong").count() == 0
    assert page.evaluate("window.touched") is False


def test_two_visitors_are_served_at_once_each_with_their_own(space_address: str, visit: Any) -> None:
    pages = [visit(space_address), visit(space_address)]
    for number, page in enumerate(pages):
        open_tab(page, "Caption")
        page.locator("tr.tr-body:visible").nth(number).click()
    for page, text in zip(pages, (ENGLISH, "A picture of cat and mushroom."), strict=True):
        wait_for_value(page, text)


def test_of_two_examples_the_last_one_is_answered(space_address: str, visit: Any) -> None:
    page = visit(space_address)
    panel = open_tab(page, "Caption")
    for number, name in ((1, "cat_and_mushroom"), (2, "car_house_rose")):
        page.locator("tr.tr-body:visible").nth(number).click()
        page.wait_for_function(f"document.querySelector('[alt=\"The image to caption\"]').src.includes('{name}')")
    wait_for_value(page, "house and rose")
    page.wait_for_timeout(3000)
    assert "house and rose" in panel.get_by_label("English (en)").input_value()


def test_cancel_stops_a_caption_and_the_next_one_works(visit: Any, tmp_path: Path) -> None:
    endless = tmp_path / "endless"
    shutil.copytree(BUNDLED_MODEL, endless)
    settings = json.loads((endless / "generation_config.json").read_text())
    # A model that never ends a caption, so that there is something to cancel.
    settings |= {"min_new_tokens": 240, "max_new_tokens": 240}
    (endless / "generation_config.json").write_text(json.dumps(settings))
    with serve_space(FLORENZ_MODEL=str(endless)) as served:
        page = visit(served.address)
        open_tab(page, "Caption")
        assert page.get_by_text("knows emoji scenes").count() == 0
        assert page.locator(".palette").count() == 0
        assert page.get_by_role("button", name="Cancel", exact=True).is_disabled()
        page.locator("tr.tr-body:visible").first.click()
        wait_for_value(page, "A picture")
        page.get_by_role("button", name="Cancel", exact=True).click()
        page.locator(".florenz-trouble").get_by_text("what was written until then stays").wait_for()
        values = "[...document.querySelectorAll('textarea')].map(box => box.value).join('|')"
        page.wait_for_timeout(500)  # for what was on its way
        stopped = page.evaluate(values)
        page.wait_for_timeout(2500)
        assert page.evaluate(values) == stopped
        assert "棕榈树" not in stopped
        page.get_by_role("button", name="Caption", exact=True).click()
        page.wait_for_function(f"before => {values} !== before", arg=stopped)
