"""The Florenz Space: `python app.py` loads FLORENZ_MODEL (at FLORENZ_REVISION) or the bundled model and serves it."""

import os
import sys
import tempfile
from pathlib import Path


os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
from examples import render_examples
from limits import IN_LINE, KEEP_FILES_SECONDS, MAX_WAITING
from loading import Loaded, load_captioner
from serving import Stopped, check_address, leave, serve
from tab_batch import build_batch_tab
from tab_caption import build_caption_tab
from tab_inside import build_inside_tab
from tab_readings import build_readings_tab
from tab_scene_maker import build_scene_maker_tab
from tab_translate import build_translate_tab


TITLE = "Florenz"
INTRODUCTION = "Image captions and image-aware translation, with one small model."
EMOJI_BANNER = (
    "<div class='florenz-banner'><p>This is <strong>florenz-tiny</strong>: it knows emoji scenes and nothing else. "
    "Given a photo, it produces nonsense.</p></div>"
)


def build_demo(loaded: Loaded) -> gr.Blocks:
    """Build all tabs for a loaded model."""
    with gr.Blocks(title=TITLE, delete_cache=(KEEP_FILES_SECONDS, KEEP_FILES_SECONDS)) as demo:
        gr.Markdown(f"# {TITLE}\n{INTRODUCTION}")
        if loaded.emoji_only:
            gr.HTML(EMOJI_BANNER)
        with gr.Tab("Caption"):
            build_caption_tab(loaded)
        with gr.Tab("Translate with the image"):
            build_translate_tab(loaded)
        with gr.Tab("Which reading?"):
            build_readings_tab(loaded)
        with gr.Tab("Look inside"):
            build_inside_tab(loaded)
        with gr.Tab("Batch"):
            build_batch_tab(loaded)
        if loaded.emoji_only:
            with gr.Tab("Scene maker"):
                build_scene_maker_tab(loaded)
    # Direct calls would go round the line and its limits.
    return demo.queue(max_size=MAX_WAITING, default_concurrency_limit=IN_LINE, api_open=False)


def main() -> int:
    """Load, build and serve until stopped."""
    try:
        check_address()
        captioner, emoji_only = load_captioner()
        with tempfile.TemporaryDirectory() as folder:
            render_examples(Path(folder))
            serve(build_demo(Loaded(captioner, Path(folder), emoji_only)))
    except ValueError as error:
        print(f"florenz space: {error}", file=sys.stderr)
        return 2
    except Stopped as stopped:
        leave(stopped.code)


if __name__ == "__main__":
    sys.exit(main())
