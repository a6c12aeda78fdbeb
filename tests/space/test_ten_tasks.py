"""Ten things that visitors try, by the mouse: none takes more than three clicks."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chromium import need_chromium
from manuals import ROOT
from PIL import Image
from space_pages import FOLDED, sayings, stage_is_idle, wait_for_value

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.data.emoji_scenes.world import EmojiWorld


pytestmark = pytest.mark.slow
need_chromium("gradio", "axe_playwright_python")

SAMPLE = BUNDLED_MODEL / "sample.png"
MOST = 3


class Hand:
    """Click and type as a visitor does; clicks are counted by the page itself."""

    def __init__(self, page: Any) -> None:
        self.page = page
        page.locator(".picture.lit").wait_for()
        page.evaluate("window.clicks = 0; addEventListener('pointerup', (event) => event.isTrusted && clicks++, true)")

    @property
    def clicks(self) -> int:
        return self.page.evaluate("clicks")

    def click(self, name: str, role: str = "button") -> None:
        self.page.get_by_role(role, name=name, exact=role == "tab").filter(visible=True).first.click()

    def choose(self, *files: Path, place: int = 0) -> None:
        """Click a place for files that is seen, and choose some."""
        with self.page.expect_file_chooser() as chooser:
            self.page.locator("button:has(input[type=file])").filter(visible=True).nth(place).click()
        chooser.value.set_files(files)

    def replace(self, file: Path) -> None:
        """Click at the first picture that is seen, and choose another one."""
        with self.page.expect_file_chooser() as chooser:
            self.page.locator("[data-testid=image] .image-frame img").filter(visible=True).first.click()
        chooser.value.set_files(file)

    def write(self, text: str) -> None:
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)


def caption_my_photo_in_russian(hand: Hand, folder: Path) -> None:
    hand.click("Your own picture")
    hand.choose(SAMPLE)
    hand.page.locator(".saying[lang=ru]").get_by_text("пальма").wait_for()


def which_thing_made_it_say_dog(hand: Hand, folder: Path) -> None:
    hand.page.locator(".saying[lang=de] .word").nth(2).click()
    assert re.search("“Hund”.*without the dog in the picture", hand.page.locator(".readout").inner_text())


def share_this_scene(hand: Hand, folder: Path) -> None:
    hand.click("Copy link")
    hand.page.get_by_text("Link copied").wait_for()


def translate_this_beside_my_picture(hand: Hand, folder: Path) -> None:
    hand.click("Translate", "tab")
    world = EmojiWorld(image_size=384)
    world.render(world.from_emoji(["⚽"], "yellow", seed=7)).save(folder / "mine.png")
    hand.replace(folder / "mine.png")
    hand.page.get_by_label("English text").filter(visible=True).click()
    hand.write("A picture of ball.")
    hand.page.keyboard.press("Enter")
    hand.page.get_by_text("Ein Bild: Fußball.").filter(visible=True).first.wait_for()


def caption_these_ten_files(hand: Hand, folder: Path) -> None:
    files = [folder / f"{number}.png" for number in range(10)]
    for number, file in enumerate(files):
        Image.open(SAMPLE).crop((0, 0, 384 - number, 384 - number)).save(file)
    hand.click("Caption", "tab")
    hand.click(FOLDED["Batch"])
    hand.choose(*files, place=-1)
    wait_for_value(hand.page, "10 of 10 files captioned")


def remove_the_dog(hand: Hand, folder: Path) -> None:
    hand.page.locator(".handle").first.hover()
    hand.page.locator(".handle .away").first.click()
    stage_is_idle(hand.page)
    hand.page.wait_for_function("!document.querySelector('.saying p').textContent.includes('dog')")
    assert "bicycle" in sayings(hand.page)[0]


def say_it_without_the_image(hand: Hand, folder: Path) -> None:
    hand.click("Translate", "tab")
    hand.page.locator("mark").first.wait_for()
    assert hand.page.get_by_text("With a grey image").filter(visible=True).count()


def which_reading_fits(hand: Hand, folder: Path) -> None:
    hand.click("Readings", "tab")
    row = hand.page.locator("table.florenz-table tbody tr").first
    row.wait_for()
    assert "Ein Bild: Hund, Fahrrad und Palme." in row.inner_text()


def add_a_mushroom(hand: Hand, folder: Path) -> None:
    hand.click("Add a thing")
    hand.write("mushroom")
    hand.page.locator(".pick").and_(hand.page.get_by_label("mushroom", exact=True)).click()
    hand.page.locator(".saying[lang=en]").get_by_text("mushroom").first.wait_for()


def where_it_looks_for_a_palm_tree(hand: Hand, folder: Path) -> None:
    hand.click("Add a thing")
    hand.write("palm tree")
    hand.page.locator(".pick").and_(hand.page.get_by_label("palm tree", exact=True)).click()
    hand.page.locator(".saying[lang=en]").get_by_text("palm").first.wait_for()
    stage_is_idle(hand.page)
    hand.page.locator(".saying[lang=en] .word").get_by_text("palm").first.click()
    assert "“palm”" in hand.page.locator(".readout").inner_text()


# Clicks and where they were needed before there was a stage; None where nothing on the page did it.
TASKS: list[tuple[Callable[[Hand, Path], None], int | None, int]] = [
    (caption_my_photo_in_russian, 2, 2),
    (which_thing_made_it_say_dog, None, 1),
    (share_this_scene, None, 1),
    (translate_this_beside_my_picture, 3, 3),
    (caption_these_ten_files, 3, 3),
    (remove_the_dog, 3, 1),
    (say_it_without_the_image, 3, 1),
    (which_reading_fits, 3, 1),
    (add_a_mushroom, 4, 2),
    (where_it_looks_for_a_palm_tree, 4, 3),
]


@pytest.mark.parametrize(("task", "before", "now"), TASKS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_task_takes_few_clicks(
    space_address: str, visit: Any, tmp_path: Path, task: Callable[[Hand, Path], None], before: int | None, now: int
) -> None:
    hand = Hand(visit(space_address))
    task(hand, tmp_path)
    assert hand.clicks == now <= MOST


def test_the_manual_tells_the_same_numbers() -> None:
    manual = (ROOT / "space" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .+ \| (\d|–) \| (\d) \|$", manual, re.MULTILINE)
    assert rows == [("–" if before is None else str(before), str(now)) for _, before, now in TASKS]
