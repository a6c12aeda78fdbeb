"""The page for browsers, in a real one: the same ids as in Python, without a network, for everyone."""

import functools
import importlib.util
import io
import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from chromium import chromium, need_chromium

from modeling_florenz import BUNDLED_MODEL, Captioner
from modeling_florenz.data.emoji_scenes import EmojiWorld


pytestmark = pytest.mark.slow
need_chromium("onnx", "onnxscript", "onnxruntime")

SCENES = 20
ENGLISH = "A picture of dog, bicycle and palm tree."


class Quiet(SimpleHTTPRequestHandler):
    """Serve files without a word."""

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export the page, or take a folder where that was done."""
    from modeling_florenz.inference.browser import export_page

    if kept := os.environ.get("FLORENZ_PAGE"):
        return Path(kept)
    return export_page("florenz-tiny", tmp_path_factory.mktemp("page") / "page").folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Open the page; what it asks of anyone else, and what it writes of errors, is a failure."""
    contexts, faults = [], []

    def open_page(width: int = 1440, theme: str = "light", ready: bool = True) -> Any:
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme))
        page = contexts[-1].new_page()
        page.set_default_timeout(120_000)
        page.on("request", lambda request: faults.append(request.url) if not _is_own(request.url, address) else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(address)
        if ready:
            wait_until_ready(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults


def _is_own(url: str, address: str) -> bool:
    return url.startswith((address, "data:", "blob:"))


def wait_until_ready(page: Any) -> None:
    page.locator("html[data-ready]").wait_for(state="attached")


def png(image: Any) -> dict[str, Any]:
    file = io.BytesIO()
    image.save(file, "PNG")
    return {"name": "scene.png", "mimeType": "image/png", "buffer": file.getvalue()}


def caption_ids(page: Any, image: Any) -> list[list[int]]:
    page.evaluate("delete document.documentElement.dataset.ids")
    page.locator("#file").set_input_files(png(image))
    page.locator("html[data-ids]").wait_for(state="attached")
    page.locator("#again:enabled").wait_for()
    return json.loads(page.locator("html").get_attribute("data-ids"))


def test_six_captions_of_20_scenes_have_pythons_ids_without_a_network(visit: Callable[..., Any]) -> None:
    captioner, world = Captioner(dtype="float32"), EmojiWorld()
    start = time.perf_counter()
    page = visit()
    cold = time.perf_counter() - start
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.context.set_offline(True)
    start = time.perf_counter()
    page.reload()
    wait_until_ready(page)
    warm = time.perf_counter() - start
    large = EmojiWorld(image_size=384)
    equal = 0
    for index in range(SCENES):
        # Half of them have the size of the model's images, the others must be made smaller.
        drawn = world if index % 2 else large
        image = drawn.render(world.scene("test", index, 11))
        found = caption_ids(page, image)
        inputs = captioner.processor(
            images=[image] * 6, task="caption", language=captioner.languages, return_tensors="pt"
        )
        ids = captioner.model.generate(**inputs, num_beams=1, do_sample=False, early_stopping=False).tolist()
        wanted = [row[1 : row.index(1, 1) + 1] for row in ids]
        equal += sum(one == other for one, other in zip(found, wanted, strict=True))
    print(f"\n{equal} of {6 * SCENES} captions; first captions after {cold:.1f} s cold, {warm:.1f} s warm and offline")
    assert equal == 6 * SCENES
    assert len(wanted[0]) > 3


def test_translations_and_scores_are_pythons(visit: Callable[..., Any]) -> None:
    captioner, sample = Captioner(dtype="float32"), BUNDLED_MODEL / "sample.png"
    page = visit()
    for language in ("fr", "zh"):
        page.locator("#translate select").select_option(language)
        page.get_by_role("button", name="Translate").click()
        page.locator("#again:enabled").wait_for()
        [wanted] = captioner.translate([sample], [ENGLISH], language, num_beams=1)
        assert page.locator("#translation").inner_text() == wanted
    candidates = ["Ein Bild: Katze.", "Ein Bild: Hund.", "Ein Bild: Hund, Fahrrad und Palme."]
    page.locator("#score textarea").fill("\n".join(candidates))
    page.get_by_role("button", name="Score").click()
    cells = page.locator("#scores tbody tr")
    cells.nth(2).wait_for()
    rows = [row.split("\t") for row in cells.all_inner_texts()]
    wanted_scores = sorted(
        captioner.score(sample, "A picture of pet.", "de", candidates), key=lambda one: one.perplexity
    )
    assert [row[0] for row in rows] == [score.text for score in wanted_scores]
    for row, score in zip(rows, wanted_scores, strict=True):
        assert float(row[2]) == pytest.approx(math.exp(-score.mean_log_probability), rel=2e-3)


def test_a_word_lights_its_place(visit: Callable[..., Any]) -> None:
    page = visit()
    # Shares of light, left below where the dog is and right above where the palm tree is.
    light = """() => { const d = document.getElementById("light").getContext("2d").getImageData(0, 0, 384, 384).data;
      const at = (x, y) => 255 - d[(y * 384 + x) * 4 + 3]; return [at(60, 290), at(310, 70)]; }"""
    for word, brighter in (("dog,", 0), ("palm", 1)):
        page.locator("#caption-en").get_by_role("button", name=word).focus()
        found = page.evaluate(light)
        assert found[brighter] > 2 * found[1 - brighter], (word, found)


def test_composed_scenes_are_captioned_and_bad_input_is_one_sentence(visit: Callable[..., Any]) -> None:
    page = visit()
    for place, name in enumerate(("cat", "mushroom")):
        label = page.locator(f"#thing-{place} option").filter(has_text=name).first.inner_text()
        page.locator(f"#thing-{place}").select_option(label=label)
    page.locator("#background").select_option("green")
    page.get_by_role("button", name="Make the scene").click()
    page.locator("#caption-en").get_by_text("mushroom.").wait_for()
    assert page.locator("#caption-en").inner_text() == "A picture of cat and mushroom."
    page.locator("#file").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": b"no image"})
    failure = page.locator("#failure:visible")
    failure.wait_for()
    assert failure.inner_text() == "a.png is not an image that this browser reads: choose a PNG or JPEG."
    page.locator("#score textarea").fill("one line")
    page.get_by_role("button", name="Score").click()
    page.get_by_text("There are 1 different candidates: write 2 to 16, one per line.").wait_for()


def test_a_broken_file_and_too_little_memory_are_one_sentence(
    visit: Callable[..., Any], browser: Any, address: str
) -> None:
    error = "onmessage = ({data}) => postMessage({id: data.id, error: 'RangeError: Array buffer allocation failed'})"
    little = "This browser has too little memory for the model: close other tabs, or take a smaller model."
    for name, kind, body, sentence in (
        ("worker.js", "text/javascript", error, little),
        ("model/vision.onnx", "application/octet-stream", "half", None),
        ("florenz.json", "application/json", "{}", None),
    ):
        context = browser.new_context(service_workers="block")
        page = context.new_page()
        page.route(f"**/{name}", _answer(body, kind))
        page.goto(address)
        failure = page.locator("#failure:visible")
        failure.wait_for()
        assert sentence in (None, failure.inner_text())
        assert not page.locator("#work").is_visible()
        context.close()


def _answer(body: str, kind: str) -> Callable[[Any], None]:
    return lambda route: route.fulfill(body=body, content_type=kind)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_fits_and_is_accessible(visit: Callable[..., Any], width: int, theme: str, tmp_path: Path) -> None:
    page = visit(width, theme)
    page.get_by_role("button", name="Translate").click()
    page.locator("#translation").get_by_text("Ein Bild").wait_for()
    page.locator("#again:enabled").wait_for()
    page.get_by_role("button", name="Score").click()
    page.locator("#scores table").wait_for()
    page.locator("#again:enabled").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if shots := os.environ.get("FLORENZ_SCREENSHOTS"):
        page.screenshot(path=f"{shots}/page-{width}-{theme}.png", full_page=True)
    if importlib.util.find_spec("axe_playwright_python") is not None:
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(page).response["violations"]
        assert not found, [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]
