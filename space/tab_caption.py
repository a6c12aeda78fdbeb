"""Tab: a caption in one language or in all, as it is written."""

from collections.abc import Iterator

import gradio as gr
from examples import SCENES, example, open_example, sample, try_on_click
from kept import keep
from loading import Loaded, on_gpu
from problems import offer, problem_line, stop_by
from turns import in_turn
from uploads import Upload, open_picture, upload_image

from modeling_florenz.inference.stream import stream_captions


STYLES = [("Short", "caption"), ("Detailed", "detailed_caption"), ("Paragraph", "more_detailed_caption")]
ALL = "all"


def build_caption_tab(loaded: Loaded) -> None:
    """Build the tab inside the Blocks that is open."""
    codes = loaded.captioner.languages

    @in_turn
    @on_gpu
    def caption(
        image: Upload | None, language: str, style: str, prefix: bool, by_way_of_english: bool
    ) -> Iterator[tuple[str, ...] | str]:
        languages = codes if language == ALL else [language]
        via = "en" if by_way_of_english else None
        for texts in stream_captions(loaded.captioner, open_picture(image), languages, style, prefix, via):
            row = tuple(texts.get(code, "") for code in codes)
            yield row if len(row) > 1 else row[0]

    def show_boxes(language: str) -> list[dict] | dict:
        boxes = [gr.update(visible=language in (ALL, code)) for code in codes]
        return boxes if len(boxes) > 1 else boxes[0]

    first: dict[str, str] = {}
    if loaded.emoji_only:
        *_, first = stream_captions(loaded.captioner, open_example(sample()), codes)
    strip = gr.Column()
    with gr.Row():
        with gr.Column(min_width=300):
            image = upload_image("Image", 320, "The image to caption", value=sample() if first else None)
            language = gr.Dropdown([("All languages", ALL), *loaded.languages], value=ALL, label="Language")
            style = gr.Radio(STYLES, value="caption", label="Style")
            prefix = gr.Checkbox(
                label="Start with the first words of a caption",
                info="The paper's models need it in languages without captions in training. The words are not shown.",
            )
            by_way_of_english = gr.Checkbox(
                label="By way of English",
                info="Captions in English first, then translates that beside the image.",
            )
            with gr.Row():
                start = gr.Button("Caption", variant="primary")
                cancel = gr.Button("Cancel", interactive=False)
            line = problem_line(bool(first))
        with gr.Column(min_width=300):
            boxes = [
                gr.Textbox(
                    first.get(code), label=name, lines=1, interactive=False, placeholder="The caption appears here."
                )
                for name, code in loaded.languages
            ]
    inputs = [image, language, style, prefix, by_way_of_english]
    running = offer([start.click], caption, inputs, boxes, line, "caption", boxes, cancel)
    language.change(show_boxes, language, boxes, api_visibility="private", queue=False, show_progress="hidden")
    pictures = [sample(), *(example(loaded, name) for name in list(SCENES)[:3])]
    with strip:
        tried = try_on_click([[path, ALL] for path in pictures], inputs, boxes, caption, line, boxes, cancel)
    stop_by(cancel, [running, tried], line)
    keep("caption", loaded, [*inputs, *boxes], line)
