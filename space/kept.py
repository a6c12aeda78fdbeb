"""Keep what visitors fill in, and what they were answered, while they reload the page: in their browser alone."""

import json
import zlib
from collections.abc import Sequence
from typing import Any

import gradio as gr
from gradio.context import Context
from loading import Loaded


GONE = "<p class='florenz-trouble'>A file that was here is no longer kept: choose it or write it again.</p>"
_WRITE = """(...given) => {
    try { sessionStorage.setItem(KEY, JSON.stringify(given)); } catch { /* A browser that keeps nothing. */ }
}"""
# Uploads are on the server for an hour or two, and gone with it.
_READ = """async (...given) => {
    let kept = null;
    try { kept = JSON.parse(sessionStorage.getItem(KEY)); } catch { /* As good as nothing. */ }
    if (kept?.length !== given.length) return given;
    const name = (file) => file?.url?.split("/").pop();
    const there = (file) => fetch(file.url, { method: "HEAD" }).then((answer) => answer.ok, () => false);
    for (const [place, value] of kept.entries()) {
        const files = [value].flat().filter((one) => one?.url);
        if (!files.length || (await Promise.all(files.map(there))).every(Boolean)) continue;
        const isExample = name(value) && name(value) === name(given[place]);
        kept[place] = isExample ? given[place] : null;
        if (!isExample) kept[kept.length - 1] = GONE;
    }
    return kept;
}"""


def keep(name: str, loaded: Loaded, fields: Sequence[Any], line: gr.HTML) -> None:
    """Keep what a tab shows as long as the browser's own tab is open; nothing is sent for it.

    Args:
        fields: what is kept.
        line: see `problem_line`; it is kept too, and says when a file is gone.
    """
    key = json.dumps(f"florenz-{name}-{zlib.crc32(loaded.name.encode()):08x}")  # of another model, nothing fits
    kept = [*fields, line]
    page = Context.root_block
    assert page is not None, "there are no Blocks to build in"
    gr.on([field.change for field in kept], None, kept, None, js=_WRITE.replace("KEY", key), api_visibility="private")
    page.load(
        None, kept, kept, js=_READ.replace("KEY", key).replace("GONE", json.dumps(GONE)), api_visibility="private"
    )
