"""The stage in a real browser: captions on landing, things that move, words that know their place."""

from pathlib import Path
from typing import Any

import pytest
from chromium import need_chromium
from space_pages import sayings, serious_findings, shoot, stage_is_idle

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL


SAMPLE = BUNDLED_MODEL / "sample.png"

pytestmark = pytest.mark.slow
need_chromium("gradio", "axe_playwright_python")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_stage_lands_on_captions_and_a_lit_word_and_is_accessible(
    space_address: str, visit: Any, width: int, theme: str, tmp_path: Path
) -> None:
    page = visit(space_address, width, theme)
    page.locator(".picture.lit").wait_for()
    assert sayings(page)[:2] == ["A picture of dog and bicycle.", "Ein Bild: Hund und Fahrrad."]
    assert "without the bicycle in the picture" in page.locator(".readout").inner_text()
    assert page.locator(".never").count() == 4
    assert page.locator(".open").bounding_box()["y"] < 844 and page.get_by_role("tab").count() == 4
    assert all(tab.is_visible() for tab in page.get_by_role("tab").all())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert not serious_findings(page)
    shoot(page, tmp_path, f"stage_{theme}_{width}")


def test_things_are_dragged_and_moved_and_taken_away_by_keyboard(space_address: str, visit: Any) -> None:
    page = visit(space_address)
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
    stage_is_idle(page)
    page.wait_for_timeout(3000)
    stage_is_idle(page)
    assert sayings(page)[0] == "A picture of bicycle and dog."
    page.get_by_role("button", name="bicycle: drag").focus()  # buttons are in the order in which things came
    page.keyboard.press("Delete")
    stage_is_idle(page)
    assert page.evaluate("document.activeElement.classList.contains('handle')")
    # A thing alone at the edge is nothing the model was shown: it may say it twice.
    assert page.locator(".handle").count() == 1
    assert "dog" in sayings(page)[0] and "bicycle" not in sayings(page)[0]
    page.locator(".handle").first.focus()
    page.keyboard.press("Delete")
    assert "at least one thing" in page.locator(".problem").inner_text()


def test_a_word_shows_its_place_by_touch_and_by_keyboard(space_address: str, visit: Any) -> None:
    page = visit(space_address, 390)
    page.locator(".picture.lit").wait_for()
    page.locator(".saying[lang=de] .word").nth(2).click()
    assert "“Hund”" in page.locator(".readout").inner_text()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.locator(".saying[lang=fr] .word[aria-pressed=true]").count() == 1


def test_a_bad_picture_is_told_beside_captions_that_stay(space_address: str, visit: Any, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(SAMPLE.read_bytes()[:2000])
    page = visit(space_address)
    page.locator(".picture.lit").wait_for()
    page.get_by_role("button", name="Your own picture").click()
    page.locator("#own input[type=file]").set_input_files(str(tmp_path / "broken.png"))
    page.locator(".problem").get_by_text("could not be read").wait_for()
    assert sayings(page)[0] == "A picture of dog and bicycle."


@pytest.mark.parametrize("last", ["scene", "own picture"])
def test_what_was_asked_last_is_shown_whatever_is_answered_first(space_address: str, visit: Any, last: str) -> None:
    page = visit(space_address)
    page.locator(".picture.lit").wait_for()
    page.get_by_role("button", name="Your own picture").click()
    files = page.locator("#own input[type=file]")
    files.wait_for(state="attached")
    asks = {
        "scene": lambda: page.get_by_role("button", name="Try: cat, mushroom").click(),
        "own picture": lambda: files.set_input_files(str(SAMPLE)),
    }
    for name in sorted(asks, key=last.__eq__):
        asks[name]()
    expected = {"scene": "A picture of cat and mushroom.", "own picture": "A picture of dog, bicycle and palm tree."}
    page.locator(".saying[lang=en]").get_by_text(expected[last][-12:-1]).wait_for()
    page.wait_for_timeout(5000)  # until both are answered
    assert sayings(page)[0] == expected[last] and page.locator(".busy, .growing").count() == 0
    assert page.locator(".handle").count() == (2 if last == "scene" else 0)


def test_captions_of_all_languages_grow_together(space_address: str, visit: Any) -> None:
    page = visit(space_address)
    page.locator(".picture.lit").wait_for()
    page.evaluate(
        """() => {
            window.seen = [];
            new MutationObserver(() => {
                const rows = [...document.querySelectorAll('.saying.growing p')].map(row => row.textContent);
                if (rows.length) window.seen.push(rows);
            }).observe(document.querySelector('.sayings'), { childList: true, subtree: true });
        }"""
    )
    page.get_by_role("button", name="Try: cat, mushroom").click()
    stage_is_idle(page)
    seen = page.evaluate("window.seen")
    assert len(seen) > 2 and all(len(rows) == 6 for rows in seen)
    # All have begun before any has ended.
    assert any(all(rows) and "cat" not in rows[0] for rows in seen)
    assert sayings(page)[0] == "A picture of cat and mushroom." and page.locator(".growing").count() == 0


def test_scenes_to_try_are_one_touch_away_on_a_phone(space_address: str, visit: Any) -> None:
    page = visit(space_address, 390)
    page.locator(".picture.lit").wait_for()
    page.get_by_role("button", name="Try: soccer ball").tap()
    stage_is_idle(page)
    assert page.locator(".handle").count() == 1 and "scene=" in page.url


def test_pointing_at_the_picture_lights_the_words_that_looked_there(space_address: str, visit: Any) -> None:
    page = visit(space_address)
    page.locator(".picture.lit").wait_for()
    glow = "number => Number(document.querySelector(`[data-at='0.${number}']`).style.getPropertyValue('--here'))"
    frame = page.locator(".picture").bounding_box()
    page.mouse.move(frame["x"] + 0.73 * frame["width"], frame["y"] + 0.4 * frame["height"])
    assert page.evaluate(glow, 5) > 2 * page.evaluate(glow, 3)  # bicycle, dog
    page.mouse.move(frame["x"] + 0.25 * frame["width"], frame["y"] + 0.62 * frame["height"])
    assert page.evaluate(glow, 3) > 2 * page.evaluate(glow, 5)
    page.mouse.move(2, 2)
    assert page.evaluate(glow, 3) == 0 and page.locator(".picture.lit").count() == 1
    page.locator(".handle").nth(1).focus()  # by keyboard
    assert page.evaluate(glow, 5) > 2 * page.evaluate(glow, 3)


def test_a_language_never_captioned_leads_to_the_study(space_address: str, visit: Any) -> None:
    page = visit(space_address)
    page.locator(".never").first.click()
    assert "Nobody captioned in this language" in page.locator(".readout").inner_text()
    assert page.locator(".readout a").get_attribute("href").endswith("/results/controls.json")
