"""What the Space's pages say when something does not go as it should: in words, beside its cause, over no result."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import need_chromium
from PIL import Image
from space_pages import open_tab, sayings, serious_findings, shoot, try_first
from space_server import serve_space

from modeling_florenz.cli.space import find_app


pytestmark = pytest.mark.slow
need_chromium("gradio", "axe_playwright_python")

TROUBLE = ".florenz-trouble:visible"
# Serve a Space whose model runs out of memory, in two ways, as soon as a file exists.
NO_MEMORY = """
import os, runpy, sys
sys.path.insert(0, os.path.dirname(sys.argv[2]))
import torch
from modeling_florenz.inference import attention, captioner
look, translate = attention.look_in_languages, captioner.Captioner.translate
def looks(*given, **named):
    if os.path.exists(sys.argv[1]):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
    return look(*given, **named)
def translates(*given, **named):
    if os.path.exists(sys.argv[1]):
        raise MemoryError
    return translate(*given, **named)
attention.look_in_languages, captioner.Captioner.translate = looks, translates
runpy.run_path(sys.argv[2], run_name="__main__")
"""


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    full = tmp_path_factory.mktemp("memory") / "full"
    command = [sys.executable, "-c", NO_MEMORY, str(full), str(find_app())]
    with serve_space(command, FLORENZ_MODEL="florenz-tiny") as served:
        yield served.address, full


def test_out_of_memory_is_told_beside_results_that_stay(
    forgetful: tuple[str, Path], visit: Any, tmp_path: Path
) -> None:
    address, full = forgetful
    page = visit(address)
    page.locator(".picture.lit").wait_for()
    panel = try_first(page, "Translate")
    full.touch()
    panel.get_by_role("button", name="Translate", exact=True).click()
    panel.locator(TROUBLE).get_by_text("ran out of memory").wait_for()
    assert panel.locator("mark").count() and not serious_findings(page)
    page.get_by_role("tab", name="Look").click()
    page.get_by_role("button", name="Try: cat, mushroom").click()
    page.locator(".problem").get_by_text("ran out of memory").wait_for()
    # What was said before stays, and is shown as of another moment.
    assert sayings(page)[0] == "A picture of dog and bicycle." and page.locator(".stage.stale").count() == 1
    assert not serious_findings(page)
    shoot(page, tmp_path, "memory")
    full.unlink()
    page.get_by_role("button", name="Try: soccer ball").click()
    page.locator(".saying[lang=de]").get_by_text("Fußball").wait_for()
    assert page.locator(".problem").is_hidden()


def test_texts_that_cannot_be_translated_are_told_in_the_tab(space_address: str, visit: Any, tmp_path: Path) -> None:
    page = visit(space_address)
    panel = try_first(page, "Translate")
    text, start = panel.get_by_label("English text").first, panel.get_by_role("button", name="Translate", exact=True)
    for given, sentence in (("a" * 10_000, "has 10,000 characters: 1,000 are allowed"), ("  ", "The text is empty")):
        text.fill(given)
        start.click()
        panel.locator(TROUBLE).get_by_text(sentence).wait_for()
        assert panel.locator("mark").count(), "the result before is gone"
    text.fill("صورة كلب ودراجة")
    start.click()
    panel.get_by_text("not in Latin letters").wait_for()
    assert panel.locator(TROUBLE).count() == 0
    shoot(page, tmp_path, "right_to_left", whole=True)
    panel = try_first(page, "Readings")
    panel.get_by_label("Candidates, one per line (2 to 6)").fill("א" * 10_000 + "\nEin Bild: Hund.")
    panel.get_by_role("button", name="Score", exact=True).click()
    panel.locator(TROUBLE).get_by_text("A candidate has 10,000 characters: 300 are allowed").wait_for()
    assert panel.locator("table.florenz-table").count() == 1


def test_uploads_too_large_or_too_many_are_told_where_they_were_made(
    space_address: str, visit: Any, tmp_path: Path
) -> None:
    (tmp_path / "large.png").write_bytes(bytes(25_000_000))
    page = visit(space_address)
    panel = open_tab(page, "Caption")
    panel.locator("input[type=file]").first.set_input_files(str(tmp_path / "large.png"))
    page.locator(TROUBLE).get_by_text("exceed the maximum allowed size").wait_for()
    assert not serious_findings(page) and page.locator(".toast-body:visible").count() == 0
    shoot(page, tmp_path, "too_large", whole=True)
    files = []
    for number in range(33):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.png")
        files.append(str(tmp_path / f"{number}.png"))
    panel = open_tab(page, "Batch")
    panel.locator("input[type=file]").first.set_input_files(files)
    page.locator(TROUBLE).get_by_text("At most 32 files can be uploaded at once").wait_for()
    assert page.locator(TROUBLE).last.inner_text().startswith("At most")


def test_a_photo_is_told_to_be_unknown_to_a_model_of_emoji(space_address: str, visit: Any, tmp_path: Path) -> None:
    Image.effect_noise((640, 480), 90).convert("RGB").save(tmp_path / "photo.jpg")
    page = visit(space_address)
    page.locator(".picture.lit").wait_for()
    page.get_by_role("button", name="Your own picture").click()
    page.locator("#own input[type=file]").set_input_files(str(tmp_path / "photo.jpg"))
    page.locator(".foot.unknown").get_by_text("knows emoji scenes and nothing else").wait_for()


def test_a_lost_connection_is_told_within_seconds_and_what_was_said_stays(visit: Any, tmp_path: Path) -> None:
    with serve_space(FLORENZ_MODEL="florenz-tiny") as served:
        page = visit(served.address)
        page.locator(".picture.lit").wait_for()
        page.wait_for_timeout(6000)
        notice = page.locator("#florenz-notice")
        assert notice.is_hidden()  # the Space is there
        served.process.kill()
        notice.get_by_text("The connection to the Space is lost").wait_for(timeout=15_000)
        assert sayings(page)[0] == "A picture of dog and bicycle." and not serious_findings(page)
        page.get_by_role("button", name="Try: cat, mushroom").click()
        page.locator(".problem").get_by_text("the connection is lost").wait_for()
        assert page.locator(".stage.stale").count() == 1 and page.locator(".busy").count() == 0
        assert page.locator(".readout").inner_text() == "" and not serious_findings(page)
        shoot(page, tmp_path, "lost")
