"""Tab: where the model looks while it writes each word."""

import gradio as gr
from examples import SCENES, example, sample, try_on_click
from kept import keep
from loading import Loaded, on_gpu
from PIL import Image
from problems import offer, problem_line, with_problems_shown
from spotlight import shrink, spotlight
from style import result_image
from tab_caption import STYLES
from turns import in_turn
from uploads import Upload, open_picture, upload_image

from modeling_florenz.inference.attention import Gaze, look


MEAN = "mean"


def build_inside_tab(loaded: Loaded) -> None:
    """Build the tab inside the Blocks that is open."""
    config = loaded.captioner.model.config
    text = config.text_config
    if text.model_type == "bart":  # which calls its encoder's layers num_hidden_layers
        count = text.decoder_layers
    else:
        count = text.num_hidden_layers // config.cross_attention_every_n_layers
    layers = [("Mean of the last half", MEAN)]
    layers += [(f"Layer {index + 1}", str(index)) for index in range(count)]

    @in_turn
    @on_gpu
    def inside(image: Upload | None, language: str, style: str) -> tuple[str, dict, Image.Image, str, tuple]:
        picture = open_picture(image)
        gaze = look(loaded.captioner, picture, language, style)
        kept = (gaze, shrink(picture))
        # Words are numbered because a caption may use one twice.
        choices = [(word, str(place)) for place, word in enumerate(gaze.words)]
        strongest = str(max(range(len(choices)), key=lambda place: gaze.over(place).max()))
        words = gr.update(choices=choices, value=strongest, visible=True)
        return gaze.text, words, *show(kept, strongest, MEAN), kept

    def show(kept: tuple[Gaze, Image.Image] | None, word: str | None, layer: str) -> tuple[Image.Image, str]:
        if kept is None or word is None:
            raise ValueError("there is no caption to look into yet: choose an image and press “Look inside” first")
        gaze, picture = kept
        heat = gaze.over(int(word), None if layer == MEAN else int(layer))
        name = gaze.words[int(word)].rstrip(",.:;。，、：")
        share = f"While writing “{name}”, {heat.sum():.0%} of the attention went to places of the image."
        return spotlight(picture, heat), share

    def look_again(kept: tuple[Gaze, Image.Image] | None, word: str | None, layer: str) -> tuple:
        return show(kept, word, layer) if kept is not None else (None, "")

    # Attention maps of closed sessions are dropped.
    kept = gr.State(None, time_to_live=1800)
    strip = gr.Column()
    with gr.Row():
        with gr.Column(min_width=300):
            image = upload_image("Image", 320, "The image to look into", value=sample() if loaded.emoji_only else None)
            language = gr.Dropdown(loaded.languages, value=loaded.captioner.languages[0], label="Language")
            style = gr.Radio(STYLES, value="caption", label="Style")
            start = gr.Button("Look inside", variant="primary")
            line = problem_line()
        with gr.Column(min_width=300):
            empty = "Caption an image, then choose a word to see where the model looked."
            caption = gr.Textbox(label="Caption", interactive=False, placeholder=empty)
            words = gr.Radio([], label="Word", visible=False, elem_id="words")
            layer = gr.Dropdown(layers, value=MEAN, label="Attention, mean of all heads")
            heat = result_image("Where the model looked", 380, "Bright where the model looked")
            share = gr.Textbox(label="In words", interactive=False)
    given, results = [image, language, style], [caption, words, heat, share, kept]
    offer([start.click], inside, given, results, line, "look_inside", heat)
    offer(
        [words.input],
        show,
        [kept, words, layer],
        [heat, share],
        line,
        "look_at_word",
        share,
        trigger_mode="always_last",
    )
    layer.input(
        with_problems_shown(look_again, 2),
        [kept, words, layer],
        [heat, share, line],
        api_visibility="private",
        show_progress="hidden",
        trigger_mode="always_last",
    )
    pictures = [sample(), *(example(loaded, name) for name in list(SCENES)[:2])]
    with strip:
        try_on_click([[path, loaded.captioner.languages[0]] for path in pictures], given, results, inside, line, heat)
    keep("inside", loaded, given, line)
