"""A contact sheet in a real browser, offline: mouse, touch, keyboard, and no request to any network."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import chromium, need_chromium

from modeling_florenz.cli import main
from modeling_florenz.data.emoji_scenes.world import EmojiWorld


pytestmark = pytest.mark.slow
need_chromium("axe_playwright_python")


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """13 scenes; the second shows a cat at the left and a mushroom at the right."""
    folder, world = tmp_path_factory.mktemp("scenes"), EmojiWorld(image_size=384)
    scenes = [world.scene("test", index, 5) for index in range(13)]
    scenes[1] = world.from_emoji(["🐈", "🍄"], "green", seed=7)
    for number, scene in enumerate(scenes, 1):
        world.render(scene).save(folder / f"{number:02}.png")
    page = folder / "page.html"
    assert main(["show", str(folder), "--output", str(page)]) == 0
    return page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Any, sheet: Path) -> Iterator[Any]:
    """Open the page offline; what it asks for besides itself, and what it complains of, are failures."""
    contexts, faults, requests = [], [], []

    def open_page(place: str = "", width: int = 1440, theme: str = "light") -> Any:
        touch = width < 600
        contexts.append(
            browser.new_context(
                offline=True, viewport={"width": width, "height": 900}, color_scheme=theme, has_touch=touch
            )
        )
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("request", lambda request: requests.append(request.url))
        page.on("requestfailed", lambda request: faults.append(request.url[:60]))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"{sheet.as_uri()}{place}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []
    assert all(url.startswith((sheet.as_uri(), "data:")) for url in requests)


def brightness(page: Any) -> list[float]:
    """Return how much of the light is in the left and in the right half of the open picture."""
    script = """canvas => {
        const [w, h] = [canvas.width, canvas.height];
        const data = canvas.getContext("2d").getImageData(0, 0, w, h).data;
        const halves = [0, 0];
        for (let i = 3; i < data.length; i += 4) halves[((i >> 2) % w) < w / 2 ? 0 : 1] += data[i];
        return halves;
    }"""
    return page.locator("article.open canvas").evaluate(script)


def pressed(page: Any) -> list[str]:
    return page.locator("[aria-pressed=true].word").all_inner_texts()


def test_words_light_their_places_by_mouse(visit: Any) -> None:
    page = visit("#2")
    page.locator("article.open canvas").wait_for(state="attached")
    assert pressed(page) in (["cat"], ["mushroom."])  # the strongest word is lit at the start
    page.get_by_role("button", name="cat", exact=True).locator("visible=true").hover()
    left, right = brightness(page)
    assert left > 2 * right
    page.get_by_role("button", name="mushroom.", exact=True).locator("visible=true").hover()
    left, right = brightness(page)
    assert right > 2 * left
    assert "of its attention on places of the image" in page.locator("article.open .readout").inner_text()


def test_pointing_at_the_picture_lets_its_words_glow(visit: Any) -> None:
    page = visit("#2")
    picture = page.locator("article.open .picture")
    box = picture.bounding_box()
    glow = "word => Number(getComputedStyle(word).getPropertyValue('--here'))"
    cat = page.get_by_role("button", name="cat", exact=True).locator("visible=true")
    places = {}
    for side, share in (("left", 0.25), ("right", 0.75)):
        found = []
        for down in range(1, 10):
            page.mouse.move(box["x"] + share * box["width"], box["y"] + down / 10 * box["height"])
            found.append(cat.evaluate(glow))
        places[side] = max(found)
    assert places["left"] > 2 * places["right"] and pressed(page) == []


def test_the_sheet_opens_pictures_and_back_goes_back(visit: Any) -> None:
    from playwright.sync_api import expect

    page = visit()
    expect(page.locator("article:visible")).to_have_count(13)
    page.locator("article").nth(1).locator(".picture").click()
    expect(page.locator("article:visible")).to_have_count(1)
    expect(page.locator("h1 small")).to_have_text("2 of 13")
    page.get_by_role("link", name="Next").click()
    expect(page.locator("h1 small")).to_have_text("3 of 13")
    page.go_back()
    expect(page.locator("h1 small")).to_have_text("2 of 13")
    page.keyboard.press("Escape")
    expect(page.locator("article:visible")).to_have_count(13)
    page.get_by_role("button", name="Русский").click()
    expect(page.locator("article").nth(1)).to_contain_text("Картинка: кошка и гриб.")


def test_the_keyboard_reaches_every_word(visit: Any) -> None:
    page = visit("#2")
    page.locator("article.open canvas").wait_for(state="attached")
    page.locator("article.open .word").first.focus()
    seen = []
    for _ in range(5):
        seen += pressed(page)
        page.keyboard.press("ArrowRight")
    assert seen == ["A", "picture", "of", "cat", "and"]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    assert pressed(page) == ["Fliegenpilz."] or pressed(page) == ["Pilz."]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_on_a_phone_the_picture_stays_while_words_are_touched(theme: str, visit: Any) -> None:
    page = visit("#2", 390, theme)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.locator("article.open .saying").last.locator(".word").last.tap()
    box = page.locator("article.open .picture").bounding_box()
    assert box["y"] >= -1 and box["y"] + box["height"] < 600
    assert len(pressed(page)) == 1


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("place", ["", "#2"])
def test_axe_finds_nothing_serious(place: str, theme: str, browser: Any, sheet: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=theme, bypass_csp=True)
    page = context.new_page()
    page.goto(f"{sheet.as_uri()}{place}")
    page.wait_for_timeout(500)
    found = axe.Axe().run(page).response["violations"]
    context.close()
    serious = [fault for fault in found if fault["impact"] in ("serious", "critical")]
    assert [f"{fault['id']}: {fault['nodes'][0]['html'][:200]}" for fault in serious] == []
