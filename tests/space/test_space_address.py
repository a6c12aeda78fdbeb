"""A link shows the same thing, reload loses nothing, Back goes back, and broken links are reported."""

from typing import Any

import pytest
from chromium import need_chromium
from space_pages import sayings, stage_is_idle

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL


SAMPLE = BUNDLED_MODEL / "sample.png"

pytestmark = pytest.mark.slow
need_chromium("gradio", "axe_playwright_python")


def test_a_composed_scene_is_captioned_shared_reloaded_and_left_by_back(space_address: str, visit: Any) -> None:
    page = visit(space_address)
    page.locator(".picture.lit").wait_for()
    page.get_by_role("button", name="Add a thing").click()
    page.get_by_label("Search things").fill("mushroom")
    page.locator(".pick").first.click()
    stage_is_idle(page)
    said = sayings(page)
    assert said[0].startswith("A picture of dog,") and said[0].endswith("and mushroom.")
    link = page.url
    page.get_by_role("button", name="red", exact=True).click()
    stage_is_idle(page)
    assert page.url != link
    page.go_back()
    stage_is_idle(page)
    assert page.url == link and page.locator(".swatch[aria-pressed=true]").get_attribute("title") == "green"
    page.reload()
    page.locator(".handle").nth(2).wait_for()
    stage_is_idle(page)
    assert sayings(page) == said
    page.get_by_role("tab", name="Translate").click()
    page.wait_for_timeout(300)
    assert "tab=translate" in page.url


def test_a_link_shows_the_scene_and_the_word_it_was_copied_with(space_address: str, visit: Any) -> None:
    page = visit(space_address)
    page.locator(".picture.lit").wait_for()
    page.get_by_role("button", name="Try: cat, mushroom").click()
    stage_is_idle(page)
    page.locator(".saying[lang=fr] .word").nth(5).click()
    page.get_by_role("button", name="Copy link").click()
    link = page.url.partition("#")[2]
    other = visit(space_address, link=f"#{link}")
    other.locator(".saying[lang=fr] .word[aria-pressed=true]").wait_for()
    assert other.locator(".readout").inner_text() == page.locator(".readout").inner_text()
    assert sayings(other) == sayings(page) and other.locator("#florenz-notice").is_hidden()


def test_a_word_of_the_first_scene_is_kept_by_a_reload(space_address: str, visit: Any) -> None:
    page = visit(space_address)
    page.locator(".picture.lit").wait_for()
    page.locator(".saying[lang=ru] .word").nth(1).click()
    page.reload()
    page.locator(".saying[lang=ru] .word[aria-pressed=true]").wait_for()
    assert page.locator("[aria-pressed=true].word").count() == 1


def test_an_own_picture_is_kept_by_a_reload_and_undone_by_back(space_address: str, visit: Any) -> None:
    page = visit(space_address)
    page.locator(".picture.lit").wait_for()
    page.get_by_role("button", name="Your own picture").click()
    page.locator("#own input[type=file]").set_input_files(str(SAMPLE))
    page.locator(".saying[lang=en]").get_by_text("palm").wait_for()
    page.wait_for_url("**#picture=own")
    assert page.locator(".handle").count() == 0
    page.reload()
    page.locator(".saying[lang=en]").get_by_text("palm").wait_for()
    page.go_back()
    page.locator(".handle").nth(1).wait_for()
    stage_is_idle(page)
    assert sayings(page)[0] == "A picture of dog and bicycle."
    # The link of somebody else's picture tells what it cannot show.
    other = visit(space_address, link="#picture=own")
    other.get_by_text("that somebody uploaded").wait_for()
    assert sayings(other)[0] == "A picture of dog and bicycle."


@pytest.mark.parametrize(
    ("link", "sentence"),
    [
        ("tab=nowhere", "there is no tab “nowhere”"),
        ("scene=🦖,0.5,0.5", "it has “🦖”, which is not among the 208 things here"),
        ("scene=" + ";".join(["🐕,0.5,0.5"] * 9), "its scene has 9 things, and scenes here have one to three"),
        ("scene=", "its scene has 0 things"),
        ("scene=🐕,x,0.5", "it does not say where its things are"),
        ("scene=🐕,0.5,0.5&on=pink", "its background is “pink”"),
        ("scene=%E0%A4%A&&==%00;<img src=x onerror=alert(1)>", "not among the 208 things here"),
        ("word=xx.2", "the model does not write “xx”"),
        ("word=de.99", "it lights a word that its caption does not have"),
    ],
)
def test_a_broken_link_is_told_and_the_first_scene_shown(
    space_address: str, visit: Any, link: str, sentence: str
) -> None:
    page = visit(space_address, link=f"#{link}")
    page.locator("#florenz-notice").get_by_text(sentence).wait_for()
    page.locator(".picture.lit").wait_for()
    assert sayings(page)[0] == "A picture of dog and bicycle."
    page.get_by_role("button", name="Try: soccer ball").click()
    assert page.locator("#florenz-notice").is_hidden()
