"""The Florenz Space: `python app.py` loads FLORENZ_MODEL (at FLORENZ_REVISION) or the bundled model and serves it."""

import os
import shutil
import sys
import tempfile
from pathlib import Path


os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
from arenas import limit_arenas
from examples import render_examples
from limits import IN_LINE, MAX_WAITING
from loading import Loaded, load_captioner
from make_scene import build_make_scene
from scenes import write_sprites
from serving import Stopped, check_address, leave, serve
from tab_batch import build_batch_tab
from tab_caption import build_caption_tab
from tab_inside import build_inside_tab
from tab_readings import build_readings_tab
from tab_stage import SCRIPTS, SPRITES, build_stage_tab
from tab_translate import build_translate_tab


HEAD = (
    "<div class='florenz-head'><h1>Florenz</h1><p>One small model says in six languages what a picture shows, and "
    "translates beside it.</p></div><p id='florenz-notice' role='alert' hidden></p>"
)


def build_demo(loaded: Loaded) -> gr.Blocks:
    """Build all tabs for a loaded model."""
    with gr.Blocks(title="Florenz") as demo:
        gr.HTML(HEAD)
        with gr.Tabs():
            with gr.Tab("Look"):
                build_stage_tab(loaded)
            with gr.Tab("Caption"):
                build_caption_tab(loaded)
                with gr.Accordion("Where it looks, word by word and layer by layer", open=False):
                    build_inside_tab(loaded)
                with gr.Accordion("Many pictures at once", open=False):
                    build_batch_tab(loaded)
            with gr.Tab("Translate"):
                build_translate_tab(loaded)
            with gr.Tab("Readings"):
                build_readings_tab(loaded)
        if loaded.emoji_only:
            build_make_scene(loaded)
    # Direct calls would go round the line and its limits.
    return demo.queue(max_size=MAX_WAITING, default_concurrency_limit=IN_LINE, api_open=False)


def main() -> int:
    """Load, build and serve until stopped."""
    limit_arenas()
    try:
        check_address()
        captioner, emoji_only = load_captioner()
        with tempfile.TemporaryDirectory() as folder:
            # A folder of its own, because what is old in there is deleted.
            os.environ.setdefault("GRADIO_TEMP_DIR", str(Path(folder) / "uploads"))
            render_examples(Path(folder))
            write_sprites(Path(folder) / SPRITES)
            shutil.copytree(SCRIPTS, Path(folder) / SCRIPTS.name)
            # These alone: Gradio does not copy what is static to where uploads are, and nothing else is opened.
            gr.set_static_paths([Path(folder) / SPRITES, Path(folder) / SCRIPTS.name])
            serve(build_demo(Loaded(captioner, Path(folder), emoji_only)))
    except ValueError as error:
        print(f"florenz space: {error}", file=sys.stderr)
        return 2
    except Stopped as stopped:
        leave(stopped.code)


if __name__ == "__main__":
    sys.exit(main())
