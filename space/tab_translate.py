"""Tab: a translation with and without the image, side by side."""

import gradio as gr
from examples import sample
from guard import as_messages, clean_text, need_image, upload_image
from limits import MAX_TEXT
from loading import Loaded, on_gpu
from PIL import Image


def build_translate_tab(loaded: Loaded) -> None:
    """Build the tab inside the Blocks that is open."""

    @on_gpu
    def translate(image: Image.Image, text: str, language: str) -> tuple[str, str, str]:
        picture = need_image(image)
        source = clean_text(text, MAX_TEXT, "The text")
        with as_messages():
            [beside] = loaded.captioner.translate([picture], [source], language)
            # No image at all, not a blank one: the encoder reads the text alone.
            [alone] = loaded.captioner.translate(None, [source], language)
        return beside, alone, "The image changed nothing." if beside == alone else "The image changed the translation."

    with gr.Row():
        with gr.Column(min_width=300):
            image = upload_image("Image", height=280, alt_text="The image beside the text")
            text = gr.Textbox(label="English text", lines=2, max_length=MAX_TEXT, placeholder="A picture of pet.")
            language = gr.Dropdown(targets(loaded), value=targets(loaded)[0][1], label="Language")
            start = gr.Button("Translate", variant="primary")
        with gr.Column(min_width=300):
            empty = "The translation appears here."
            beside = gr.Textbox(label="With the image", lines=2, interactive=False, placeholder=empty)
            nonsense = (
                "florenz-tiny was trained on texts with images only: here it guesses." if loaded.emoji_only else None
            )
            alone = gr.Textbox(label="Without the image", info=nonsense, lines=2, interactive=False, placeholder=empty)
            verdict = gr.Textbox(label="Difference", interactive=False, placeholder="What the image contributed.")
    gr.on(
        [start.click, text.submit],
        translate,
        [image, text, language],
        [beside, alone, verdict],
        api_name="translate",
        concurrency_id="model",
    )
    code = targets(loaded)[0][1]
    rows = [
        [sample(), "A picture of pet, bike and plant.", code],
        [str(loaded.examples / "football.png"), "A picture of ball.", code],
        [str(loaded.examples / "tennis.png"), "A picture of ball.", code],
    ]
    gr.Examples(rows, [image, text, language], cache_examples=False, api_visibility="private")


def targets(loaded: Loaded) -> list[tuple[str, str]]:
    """List the languages to translate into, as choices: all except English, the language of the source."""
    return [choice for choice in loaded.languages if choice[1] != "en"] or loaded.languages
