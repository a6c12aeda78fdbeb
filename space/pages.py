"""The pages of the Space: the model is loaded, and a tab is built for each thing that it does."""

import shutil
from pathlib import Path

import gradio as gr
from examples import render_examples
from limits import IN_LINE, MAX_WAITING
from loading import Loaded, load_captioner
from make_scene import build_make_scene
from scenes import write_sprites
from tab_batch import build_batch_tab
from tab_caption import build_caption_tab
from tab_inside import build_inside_tab
from tab_readings import build_readings_tab
from tab_stage import SCRIPTS, SPRITES, build_stage_tab
from tab_translate import build_translate_tab


NUMBERS = "no one two three four five six seven eight nine ten".split()
HEAD = (
    "<div class='florenz-head'><h1>Florenz</h1><p>One model says in {languages} what a picture shows, and translates "
    "beside it.</p></div><p id='florenz-notice' role='alert' hidden></p>"
)


def load_pages(folder: Path) -> gr.Blocks:
    """Load the model and build all tabs.

    Args:
        folder: for examples and other files of the pages.

    Raises:
        ValueError: see `load_captioner`.
    """
    captioner, emoji_only = load_captioner()
    render_examples(folder)
    write_sprites(folder / SPRITES)
    shutil.copytree(SCRIPTS, folder / SCRIPTS.name)
    # These alone: Gradio does not copy what is static to where uploads are, and nothing else is opened.
    gr.set_static_paths([folder / SPRITES, folder / SCRIPTS.name])
    return _build(Loaded(captioner, folder, emoji_only))


def _build(loaded: Loaded) -> gr.Blocks:
    with gr.Blocks(title="Florenz") as demo:
        count = len(loaded.captioner.languages)
        number = NUMBERS[count] if count < len(NUMBERS) else count
        gr.HTML(HEAD.format(languages=f"{number} language{'s' * (count > 1)}"))
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
