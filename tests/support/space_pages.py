"""What tests of the Space's pages have in common: where things are on them, and how to wait for what they show."""

import os
from pathlib import Path
from typing import Any


TABS = {  # what each story is begun with
    "Caption": "Caption",
    "Translate": "Translate",
    "Readings": "Score",
    "Look inside": "Look inside",
    "Batch": "Caption all",
}
FOLDED = {"Look inside": "Where it looks, word by word and layer by layer", "Batch": "Many pictures at once"}
_IDLE = "!document.querySelector('.stage').classList.contains('busy')"


def stage_is_idle(page: Any) -> None:
    """Wait until the stage has its answer."""
    page.wait_for_timeout(100)
    page.wait_for_function(_IDLE)


def sayings(page: Any) -> list[str]:
    """Return the captions of the stage."""
    return [text.replace("\n", "") for text in page.locator(".saying p").all_inner_texts()]


def open_tab(page: Any, tab: str) -> Any:
    """Open a tab, or what is folded in one; return its panel."""
    page.get_by_role("tab", name="Caption" if tab in FOLDED else tab, exact=True).click()
    panel = page.locator("[role=tabpanel]:visible")
    if tab in FOLDED:
        panel.get_by_role("button", name=FOLDED[tab]).click()
        panel = panel.locator(".block").filter(has=page.get_by_role("button", name=FOLDED[tab])).last
    panel.get_by_role("button", name=TABS[tab], exact=True).wait_for()
    return panel


def try_first(page: Any, tab: str) -> Any:
    """Click the first example of a tab, which runs it, and wait for the result."""
    panel = open_tab(page, tab)
    # Examples of one column are buttons, others rows of a table.
    panel.locator("tr.tr-body:visible, .gallery-item:visible").first.click()
    panel.get_by_text("written when the Space started").last.wait_for(state="hidden")  # what the tab began with
    wait_for_result(page, panel, tab)
    return panel


def wait_for_result(page: Any, panel: Any, tab: str) -> None:
    """Wait until a tab shows what its first example makes."""
    if tab == "Readings":
        panel.locator("table.florenz-table").wait_for()
    elif tab == "Translate":
        panel.locator("mark").first.wait_for()
    elif tab == "Look inside":
        panel.locator("#words label").nth(3).click()
        wait_for_value(page, "“dog”")
    else:
        wait_for_value(page, {"Caption": "棕榈树", "Batch": "3 of 3 files"}[tab])
    page.wait_for_timeout(500)
    page.wait_for_function("() => !document.querySelector('.pending')")  # what a tab began with fades meanwhile


def wait_for_value(page: Any, part: str) -> None:
    """Wait until a field that is seen holds a text."""
    found = "part => [...document.querySelectorAll('[role=tabpanel] textarea, [role=tabpanel] input')]"
    page.wait_for_function(f"{found}.some(box => box.checkVisibility() && box.value.includes(part))", arg=part)


def serious_findings(page: Any) -> list[tuple[str, list[str]]]:
    """Return what axe-core finds serious or critical."""
    from axe_playwright_python.sync_playwright import Axe

    found = [one for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
    return [(one["id"], [node["html"][:160] for node in one["nodes"]]) for one in found]


def shoot(page: Any, folder: Path, name: str, whole: bool = False) -> None:
    """Keep a picture of a page in FLORENZ_SHOTS, or in a folder of the test."""
    page.wait_for_timeout(700)  # pictures fade in
    page.screenshot(path=Path(os.environ.get("FLORENZ_SHOTS", folder)) / f"{name}.png", full_page=whole)
