"""The stage: one image, what the model says of it in every language, and where it looked for each word."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from growing import while_it_writes
from loading import Loaded, on_gpu
from PIL import Image
from problems import as_sentence
from scenes import COLUMNS, FIRST, SIDES, TO_TRY, ArrangedWorld, Arrangement, read_arrangement
from spotlight import shrink
from turns import in_turn
from uploads import Upload, open_picture, upload_image

from modeling_florenz.data.emoji_scenes.coverage import PAPER_COVERAGE
from modeling_florenz.data.emoji_scenes.world import BACKGROUNDS, EmojiWorld
from modeling_florenz.inference.attention import Gaze, look_in_languages, probabilities_beside
from modeling_florenz.inference.gallery.exhibits import OWN_NAMES, UNKNOWN, UNKNOWN_BELOW, as_saying


SCRIPTS = Path(__file__).parent / "stage"
SPRITES = "sprites.webp"
# What the study of controls allows to say of the bundled model.
NEVER = (
    "Nobody captioned in this language for training: the model learned it from translations beside images, then from "
    "captions that it translated itself. Hiding words of its sources taught it mostly the words that were hidden."
)
STUDY = "https://huggingface.co/modeling-florenz/florenz-tiny/blob/main/results/controls.json"


def build_stage_tab(loaded: Loaded) -> None:
    """Build the tab inside the Blocks that is open."""
    captioner = loaded.captioner
    captioned = {language for task, language in PAPER_COVERAGE if task == "caption"}

    @on_gpu
    def describe(picture: Image.Image, without: list[Image.Image]) -> Iterator[dict[str, Any]]:
        def write(watch: Any) -> dict[str, Any]:
            gazes = look_in_languages(captioner, picture, captioner.languages, num_beams=1, watch=watch)
            return _page_value(picture, gazes, probabilities_beside(captioner, without, gazes))

        for found in while_it_writes(write):
            yield found if "picture" in found else {"growing": found}

    def finish(value: dict[str, Any], asked: Arrangement | None) -> dict[str, Any]:
        if "growing" in value:
            return value
        for saying in value["sayings"]:
            saying["never"] = loaded.emoji_only and saying["language"] not in captioned
        unknown = value.pop("certainty") < UNKNOWN_BELOW and loaded.emoji_only and asked is None
        return value | {"scene": asked and asked.asked(), "unknown": UNKNOWN if unknown else "", "problem": ""}

    def caption_scene(arrangement: Arrangement, quick: bool = False) -> Iterator[dict[str, Any]]:
        picture, without = ArrangedWorld(arrangement).draw()
        for value in describe(picture, [] if quick else without):
            yield finish(value, arrangement)

    waits = in_turn(caption_scene)

    def arrange(event: gr.EventData) -> Iterator[dict[str, Any]]:
        asked = event._data if isinstance(event._data, dict) else {}
        try:
            for value in waits(read_arrangement(asked.get("scene")), bool(asked.get("quick"))):
                yield value | {"asked": asked.get("number")}
        except Exception as error:
            yield {"problem": as_sentence(error), "asked": asked.get("number")}

    @in_turn
    def caption_picture(picture: Image.Image) -> Iterator[dict[str, Any]]:
        for value in describe(picture, []):
            yield finish(value, None)

    def caption_upload(upload: Upload | None) -> Iterator[dict[str, Any]]:
        if upload is None:
            yield gr.skip()
            return
        try:
            picture = open_picture(upload)
            yield {"growing": {}}
            yield from caption_picture(picture)
        except Exception as error:
            yield {"problem": as_sentence(error)}

    world = EmojiWorld(image_size=32)
    things = [{"emoji": noun.emoji, "name": noun.names["en"], "kind": noun.broader or ""} for noun in world.nouns]
    *_, first = caption_scene(FIRST) if loaded.emoji_only else [None]
    # The scripts are modules of their own, which find each other by where they are.
    start = f'new URL("gradio_api/file={loaded.examples / SCRIPTS.name}/stage.js", document.baseURI)'
    stage = gr.HTML(
        first,
        html_template='<div class="stage"></div>',
        js_on_load=f"import({start}).then(({{ mount }}) => mount({{ element, props, watch, trigger }}))",
        css_template="",
        elem_id="stage",
        things=things if loaded.emoji_only else [],
        sprites=f"gradio_api/file={loaded.examples / SPRITES}",
        columns=COLUMNS,
        sides=[SIDES[count] for count in sorted(SIDES)],
        examples=[example.asked() for example in TO_TRY] if loaded.emoji_only else [],
        backgrounds=BACKGROUNDS,
        names=OWN_NAMES,
        never=NEVER,
        study=STUDY,
    )
    with gr.Accordion("Your own picture", open=not loaded.emoji_only, elem_id="own"):
        if loaded.emoji_only:
            gr.HTML("<p class='florenz-note'>This model knows emoji scenes; of a photo it writes nonsense.</p>")
        upload = upload_image("Upload", height=200, alt_text="Your picture")
    private: dict[str, Any] = {"api_visibility": "private", "concurrency_id": "model", "show_progress": "hidden"}
    stage.submit(arrange, None, stage, trigger_mode="multiple", **private)
    upload.upload(caption_upload, upload, stage, trigger_mode="always_last", **private)


def _page_value(picture: Image.Image, gazes: dict[str, Gaze], without: list[dict[str, list[float]]]) -> dict[str, Any]:
    file = io.BytesIO()
    shrink(picture).save(file, "WEBP", quality=84)
    sayings, certainties = [], []
    for language, gaze in gazes.items():
        saying = as_saying(language, gaze)
        certainties.append(saying.certainty)
        words = [
            {
                "before": word.before,
                "text": word.text,
                "sure": round(word.probability, 4),
                "share": round(word.share, 4),
                "strength": round(word.strength, 3),
                "without": [round(found[language][index], 4) for found in without],
            }
            for index, word in enumerate(saying.words)
        ]
        maps = base64.b64encode(np.stack([word.places for word in saying.words]).tobytes()).decode()
        sayings.append({"language": language, "text": saying.text, "words": words, "maps": maps})
    return {
        "picture": f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}",
        "sayings": sayings,
        "certainty": float(np.mean(certainties)),
    }
