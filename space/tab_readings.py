"""Tab: which of some candidate translations fits the image."""

import math
from typing import Any

import gradio as gr
from escaped import note, table
from examples import example, open_example, sample, try_on_click
from guard import clean_text
from kept import keep
from limits import CANDIDATES, MAX_CANDIDATE, MAX_TEXT
from loading import Loaded, on_gpu
from PIL import Image
from problems import offer, problem_line
from tab_translate import NOT_ENGLISH, is_latin, targets
from turns import in_turn
from uploads import Upload, open_picture, upload_image


EMPTY = note("The candidates appear here, the likeliest first.")
EXPLAINED = (
    "Each sentence is scored as a whole, beside the image: how probable it is that the model writes it, among the "
    "sentences here."
)
SMALL_PRINT = "Perplexity: per token; it does not tell how sure the model is between whole sentences."


def build_readings_tab(loaded: Loaded) -> None:
    """Build the tab inside the Blocks that is open."""

    @in_turn
    @on_gpu
    def score(image: Upload | None, text: str, language: str, candidates: str) -> tuple[list[dict[str, Any]], str]:
        picture = open_picture(image)
        source = clean_text(text, MAX_TEXT, "The text")
        lines = dict.fromkeys(filter(None, map(str.strip, str(candidates or "").splitlines())))
        if not CANDIDATES[0] <= len(lines) <= CANDIDATES[1]:
            few, many = CANDIDATES
            raise ValueError(f"there are {len(lines)} different candidates: write {few} to {many}, one per line")
        texts = [clean_text(line, MAX_CANDIDATE, "A candidate") for line in lines]
        return rank(picture, source, language, texts)

    def rank(picture: Image.Image, source: str, language: str, texts: list[str]) -> tuple[list[dict[str, Any]], str]:
        scores = loaded.captioner.score(picture, source, language, texts)
        best = max(found.log_probability for found in scores)
        weights = [math.exp(found.log_probability - best) for found in scores]
        ranked = sorted(
            ((weight / sum(weights), found) for found, weight in zip(scores, weights, strict=True)),
            key=lambda pair: -pair[0],
        )
        rows: list[list[str | float]] = [[found.text, share, f"{found.perplexity:.4g}"] for share, found in ranked]
        page = table("Which reading? The likeliest first", ["Sentence", "Probability", "Perplexity"], rows)
        page = note(EXPLAINED) + page + note(SMALL_PRINT) + ("" if is_latin(source) else note(NOT_ENGLISH))
        # JSON has no infinity.
        records = [
            {
                "candidate": found.text,
                "perplexity": min(found.perplexity, 1e300),
                "share": share,
                "log_probability": found.log_probability,
            }
            for share, found in ranked
        ]
        return records, page

    animals = "Ein Bild: Hund, Fahrrad und Palme.\nEin Bild: Katze, Fahrrad und Palme.\nEin Bild: Hund und Palme."
    balls = "Ein Bild: Fußball.\nEin Bild: Tennisball.\nEin Bild: Basketball."
    rows = [[sample(), "A picture of pet, bike and plant.", "de", animals]]
    rows += [[example(loaded, name), "A picture of ball.", "de", balls] for name in ("football", "tennis")]
    picture, source, _, readings = rows[0] if loaded.emoji_only else [None] * 4
    shown = EMPTY
    if picture and source and readings:
        _, shown = rank(open_example(picture), source, "de", readings.splitlines())
    strip = gr.Column()
    with gr.Row():
        with gr.Column(min_width=300):
            image = upload_image("Image", 240, "The image that decides", value=picture)
            text = gr.Textbox(source, label="English text", placeholder="A picture of pet.")
            language = gr.Dropdown(targets(loaded), value=targets(loaded)[0][1], label="Language of the candidates")
            candidates = gr.Textbox(
                readings,
                label=f"Candidates, one per line ({CANDIDATES[0]} to {CANDIDATES[1]})",
                lines=3,
                max_lines=6,
                placeholder="Ein Bild: Hund.\nEin Bild: Katze.",
            )
            start = gr.Button("Score", variant="primary")
            line = problem_line(loaded.emoji_only)
        with gr.Column(min_width=300):
            records = gr.JSON(label="Scores", visible=False)  # for the API
            page = gr.HTML(shown, label="Table")
    given = [image, text, language, candidates]
    offer([start.click], score, given, [records, page], line, "score", page)
    if "de" in loaded.captioner.languages:
        with strip:
            try_on_click(rows, given, [records, page], score, line, page)
    keep("readings", loaded, [*given, page], line)
