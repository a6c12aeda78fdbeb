"""Tab: a translation beside the image, beside a grey one and beside another one."""

import unicodedata

import gradio as gr
from escaped import columns, note
from examples import TWIN, example, open_example, sample, try_on_click
from guard import clean_text
from kept import keep
from limits import MAX_TEXT
from loading import Loaded, on_gpu
from PIL import Image
from problems import offer, problem_line
from turns import in_turn
from uploads import Upload, open_picture, upload_image


TITLES = ("With the image", "With a grey image", "With another image")
GREY = (128, 128, 128)
NOT_ENGLISH = "This is not in Latin letters, and the model reads English: what it makes of the text is guesswork."


def build_translate_tab(loaded: Loaded) -> None:
    """Build the tab inside the Blocks that is open."""

    @in_turn
    @on_gpu
    def translate(
        image: Upload | None, text: str, language: str, other: Upload | None
    ) -> tuple[str, str, str, str, str]:
        picture = open_picture(image)
        source = clean_text(text, MAX_TEXT, "The text")
        another = open_example(example(loaded, TWIN)) if other is None else open_picture(other)
        return compare(picture, source, language, another)

    def compare(
        picture: Image.Image, source: str, language: str, another: Image.Image
    ) -> tuple[str, str, str, str, str]:
        pictures = [picture, Image.new("RGB", picture.size, GREY), another]
        beside, grey, elsewhere = loaded.captioner.translate(pictures, [source] * len(pictures), language)
        texts = (beside, grey, elsewhere)
        changed = len(set(texts)) > 1
        verdict = f"The image {'changed the translation' if changed else 'changed nothing'}."
        page = columns(TITLES, texts, verdict, language) + ("" if is_latin(source) else note(NOT_ENGLISH))
        return beside, grey, elsewhere, verdict, page

    code = targets(loaded)[0][1]
    rows = [
        [sample(), "A picture of pet, bike and plant.", code, example(loaded, TWIN)],
        [example(loaded, "football"), "A picture of ball.", code, example(loaded, "tennis")],
        [example(loaded, "tennis"), "A picture of ball.", code, example(loaded, "football")],
    ]
    picture, source, _, another = rows[0] if loaded.emoji_only else [None] * 4
    shown = columns(TITLES, ["", "", ""], "What the image contributes appears here.", "en")
    if picture and source and another:
        *_, shown = compare(open_example(picture), source, code, open_example(another))
    strip = gr.Column()
    with gr.Row():
        with gr.Column(min_width=300):
            with gr.Row():
                image = upload_image("Image", 200, "The image beside the text", 140, picture)
                other = upload_image("Another image", 200, "The other image", 140, another)
            text = gr.Textbox(source, label="English text", lines=1, placeholder="A picture of pet.")
            language = gr.Dropdown(targets(loaded), value=code, label="Language")
            start = gr.Button("Translate", variant="primary")
            line = problem_line(loaded.emoji_only)
        with gr.Column(min_width=300, scale=2):
            beside, grey, elsewhere, verdict = (gr.Textbox(label=name, visible=False) for name in (*TITLES, "Verdict"))
            page = gr.HTML(shown)
    given, results = [image, text, language, other], [beside, grey, elsewhere, verdict, page]
    offer([start.click, text.submit], translate, given, results, line, "translate", page)
    with strip:
        try_on_click(rows, given, results, translate, line, page)
    keep("translate", loaded, [*given, page], line)


def is_latin(text: str) -> bool:
    """Return whether at least half of a text's letters are Latin."""
    letters = [unicodedata.name(char, "") for char in text if char.isalpha()]
    return 2 * sum("LATIN" in name for name in letters) >= len(letters)


def targets(loaded: Loaded) -> list[tuple[str, str]]:
    """List the languages to translate into, as choices: all except English, the language of the source."""
    return [choice for choice in loaded.languages if choice[1] != "en"] or loaded.languages
