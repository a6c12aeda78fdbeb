"""Endpoint for the bundled model: make a scene of emoji and have it captioned in every language."""

import gradio as gr
from escaped import capital, table
from guard import as_messages
from limits import EMOJI
from loading import Loaded, on_gpu
from PIL import Image
from turns import in_turn

from modeling_florenz.data.emoji_scenes.wording import PREFIXES
from modeling_florenz.data.emoji_scenes.world import BACKGROUNDS, EmojiWorld


MAX_SEED = 10_000


def build_make_scene(loaded: Loaded) -> None:
    """Add the endpoint to the Blocks that is open; the page has the stage instead."""
    world = EmojiWorld(image_size=384)
    choices = [(f"{noun.emoji} {noun.names['en']}", noun.emoji) for noun in world.nouns]

    @in_turn
    @on_gpu
    def make(emoji: list[str], background: str, seed: float) -> tuple[Image.Image, list[dict[str, str]], str]:
        if not EMOJI[0] <= len(emoji or []) <= EMOJI[1]:
            raise gr.Error(
                f"There are {len(emoji or [])} things: choose {EMOJI[0]} to {EMOJI[1]}.", print_exception=False
            )
        with as_messages():
            scene = world.from_emoji(emoji, background, int(seed))
            picture = world.render(scene)
            [texts] = loaded.captioner.caption_languages([picture])
        names = loaded.captioner.processor.languages
        records, rows = [], []
        for code, text in texts.items():
            drawn = world.caption(scene, code) if code in PREFIXES else ""
            records.append({"language": code, "caption": text, "drawn": drawn})
            rows.append([capital(names[code]), text, "as drawn" if text == drawn else f"drawn: {drawn}"])
        return picture, records, table("Captions of the scene", ["Language", "Caption", "Right?"], rows)

    with gr.Row(visible=False):
        emoji = gr.Dropdown(choices, multiselect=True, max_choices=EMOJI[1], label="One to three things")
        background = gr.Dropdown(list(BACKGROUNDS), value="green", label="Background")
        seed = gr.Slider(0, MAX_SEED, value=7, step=1, label="Arrangement")
        start = gr.Button("Make the scene")
        picture = gr.Image(label="Scene")
        records = gr.JSON(label="Captions")
        page = gr.HTML(label="Table")
    start.click(
        make, [emoji, background, seed], [picture, records, page], api_name="make_scene", concurrency_id="model"
    )
