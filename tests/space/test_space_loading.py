"""Pages of a Space that is loading: they say so and go on by themselves, also when it was lost and started anew."""

import sys
from pathlib import Path
from typing import Any

import pytest
from chromium import need_chromium
from PIL import Image
from space_pages import open_tab, sayings, serious_findings, shoot
from space_server import serve_space

from modeling_florenz.cli.space import find_app


pytestmark = pytest.mark.slow
need_chromium("gradio", "axe_playwright_python")

# Serve a Space whose model is loaded when a file says so, or fails to.
SLOW = """
import os, runpy, sys, time
sys.path.insert(0, os.path.dirname(sys.argv[2]))
from modeling_florenz.inference import captioner
load = captioner.load
def loads(*given):
    while not os.path.exists(sys.argv[1]):
        time.sleep(0.05)
    if open(sys.argv[1]).read():
        raise ValueError("its weights are broken")
    return load(*given)
captioner.load = loads
runpy.run_path(sys.argv[2], run_name="__main__")
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_a_page_that_waits_goes_on_by_itself_where_its_link_leads(
    visit: Any, width: int, theme: str, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    command = [sys.executable, "-c", SLOW, str(go), str(find_app())]
    with serve_space(command, loads=True, FLORENZ_MODEL="florenz-tiny") as served:
        page = visit(served.address, width, theme, link="#scene=⚽,0.5,0.5&on=yellow", ready=False)
        page.get_by_text("The model is loading").wait_for()
        assert page.get_by_text("Картинка: собака, велосипед и пальма.").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert not serious_findings(page)
        shoot(page, tmp_path, f"loading_{theme}_{width}")
        go.touch()
        page.locator(".saying[lang=de]").get_by_text("Fußball").wait_for()
        assert page.locator(".handle").count() == 1


def test_a_load_that_fails_is_told_on_the_page_and_by_the_exit_code(visit: Any, tmp_path: Path) -> None:
    go = tmp_path / "go"
    command = [sys.executable, "-c", SLOW, str(go), str(find_app())]
    with serve_space(command, loads=True, FLORENZ_MODEL="somebody/model") as served:
        page = visit(served.address, ready=False)
        page.get_by_text("The model is loading").wait_for()
        assert page.locator("img").count() == 0
        page.wait_for_timeout(2500)
        go.write_text("fail")
        page.get_by_text("The model could not be loaded").wait_for()
        assert served.process.wait(60) == 2
        page.wait_for_timeout(12_000)
        assert page.get_by_text("The model could not be loaded").is_visible()
        assert not serious_findings(page)
        shoot(page, tmp_path, "failed")


def test_a_page_finds_the_space_again_after_it_was_lost(visit: Any, tmp_path: Path) -> None:
    with serve_space(FLORENZ_MODEL="florenz-tiny") as served:
        page = visit(served.address)
        page.locator(".picture.lit").wait_for()
        page.get_by_role("button", name="Try: cat, mushroom").click()
        page.locator(".saying[lang=en]").get_by_text("mushroom").wait_for()
        panel = open_tab(page, "Translate")
        picture = tmp_path / "mine.png"
        Image.new("RGB", (64, 64), "red").save(picture)
        panel.locator("input[type=file]").first.set_input_files(str(picture))
        page.locator("img[src*='mine.png']").wait_for()
        panel.get_by_label("English text").first.fill("A picture of pet.")
        page.wait_for_timeout(500)
        served.process.kill()
        notice = page.locator("#florenz-notice")
        notice.get_by_text("The connection to the Space is lost").wait_for(timeout=15_000)
    go = tmp_path / "go"
    command = [sys.executable, "-c", SLOW, str(go), str(find_app())]
    with serve_space(command, at=served.address, loads=True, FLORENZ_MODEL="florenz-tiny"):
        notice.get_by_text("its model is loading").wait_for(timeout=15_000)
        panel.get_by_role("button", name="Translate", exact=True).click()
        panel.locator(".florenz-trouble").get_by_text("its model is loading").wait_for()
        assert not serious_findings(page)
        assert panel.locator("[data-testid=status-tracker] .error:visible").count() == 0  # Gradio's, over the result
        shoot(page, tmp_path, "found_loading", whole=True)
        go.touch()
        page.wait_for_function("document.querySelector('#florenz-notice')?.hidden === true")
        panel = page.locator("[role=tabpanel]:visible")
        # The page was loaded anew, and has what was on it but for the visitor's picture, which went with the Space.
        panel.get_by_text("no longer kept").wait_for()
        assert panel.get_by_label("English text").first.input_value() == "A picture of pet."
        page.get_by_role("tab", name="Look").click()
        page.locator(".picture.lit").wait_for()
        assert sayings(page)[0] == "A picture of cat and mushroom."
        shoot(page, tmp_path, "found", whole=True)
