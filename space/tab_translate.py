"""Tab: a translation beside the image, beside a grey one and beside another one."""

import gradio as gr
from escaped import columns
from examples import TWIN, example, sample, try_on_click
from guard import as_messages, clean_text, need_image, upload_image
from limits import MAX_TEXT
from loading import Loaded, on_gpu
from PIL import Image
from turns import in_turn


TITLES = ("With the image", "With a grey image", "With another image")
GREY = (128, 128, 128)


def build_translate_tab(loaded: Loaded) -> None:
    """Build the tab inside the Blocks that is open."""

    @in_turn
    @on_gpu
    def translate(
        image: Image.Image, text: str, language: str, other: Image.Image | None
    ) -> tuple[str, str, str, str, str]:
        picture = need_image(image)
        source = clean_text(text, MAX_TEXT, "The text")
        if other is None:
            with Image.open(example(loaded, TWIN)) as file:
                other = file.convert("RGB")
        pictures = [picture, Image.new("RGB", picture.size, GREY), other]
        with as_messages():
            beside, grey, elsewhere = loaded.captioner.translate(pictures, [source] * len(pictures), language)
        texts = (beside, grey, elsewhere)
        changed = len(set(texts)) > 1
        verdict = f"The image {'changed the translation' if changed else 'changed nothing'}."
        return beside, grey, elsewhere, verdict, columns(TITLES, texts, verdict, language)

    with gr.Row(elem_classes="florenz-tab"):
        with gr.Column(min_width=300):
            with gr.Row():
                image = upload_image("Image", height=200, alt_text="The image beside the text", min_width=140)
                other = upload_image("Another image", height=200, alt_text="The other image", min_width=140)
            text = gr.Textbox(label="English text", lines=1, max_length=MAX_TEXT, placeholder="A picture of pet.")
            language = gr.Dropdown(targets(loaded), value=targets(loaded)[0][1], label="Language")
            start = gr.Button("Translate", variant="primary")
        with gr.Column(min_width=300, scale=2):
            beside, grey, elsewhere, verdict = (gr.Textbox(label=name, visible=False) for name in (*TITLES, "Verdict"))
            page = gr.HTML(columns(TITLES, ["", "", ""], "What the image contributes appears here.", "en"))
    given, results = [image, text, language, other], [beside, grey, elsewhere, verdict, page]
    gr.on(
        [start.click, text.submit],
        translate,
        given,
        results,
        api_name="translate",
        concurrency_id="model",
        show_progress_on=page,
    )
    code = targets(loaded)[0][1]
    rows = [
        [sample(), "A picture of pet, bike and plant.", code, example(loaded, TWIN)],
        [example(loaded, "football"), "A picture of ball.", code, example(loaded, "tennis")],
        [example(loaded, "tennis"), "A picture of ball.", code, example(loaded, "football")],
    ]
    try_on_click(rows, given, results, translate, show_progress_on=page)


def targets(loaded: Loaded) -> list[tuple[str, str]]:
    """List the languages to translate into, as choices: all except English, the language of the source."""
    return [choice for choice in loaded.languages if choice[1] != "en"] or loaded.languages
