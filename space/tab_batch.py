"""Tab: many files at once, as a table, CSV and JSON lines."""

import csv
import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import torch
from examples import SCENES, sample, try_on_click
from guard import open_upload
from kept import keep
from limits import MAX_BATCH_FILES
from loading import Loaded, on_gpu
from problems import as_sentence, offer, problem_line, stop_by
from tab_caption import ALL, STYLES
from turns import TURNS, client
from uploads import upload_files


COLUMNS = ["file", "language", "caption", "problem"]


def build_batch_tab(loaded: Loaded) -> None:
    """Build the tab inside the Blocks that is open."""

    def batch(
        asking: str, files: list[str] | None, language: str, style: str, progress: gr.Progress
    ) -> Iterator[tuple[list[list[str]], str | None, str | None, str]]:
        if not files:
            raise ValueError("there are no files yet: upload some images")
        if len(files) > MAX_BATCH_FILES:
            raise ValueError(f"there are {len(files)} files: {MAX_BATCH_FILES} are allowed")
        codes = loaded.captioner.languages if language == ALL else [language]
        rows: list[list[str]] = []
        failed = 0
        for done, file in enumerate(files):
            progress((done, len(files)), unit="images")
            with TURNS.take(asking, patient=True) as run:
                found = run(caption_file, str(file), codes, style)
            failed += bool(found[0][3])
            rows += found
            yield rows, None, None, f"{done + 1} of {len(files)} files done."
        summary = f"{len(files) - failed} of {len(files)} files captioned."
        if failed:
            summary += f" {failed} skipped: see the last column."
        # Gradio copies the files when they are yielded.
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (("captions.csv", as_csv(rows)), ("captions.jsonl", as_json_lines(rows))):
                (Path(folder) / name).write_text(text, encoding="utf-8")
            yield rows, f"{folder}/captions.csv", f"{folder}/captions.jsonl", summary

    @on_gpu
    def caption_file(file: str, codes: list[str], style: str) -> list[list[str]]:
        name = Path(file).name
        try:
            [texts] = loaded.captioner.caption_languages([open_upload(file, name)], codes, style)
        except (ValueError, MemoryError, torch.OutOfMemoryError) as error:
            return [[name, "", "", as_sentence(error)]]
        return [[name, code, text, ""] for code, text in texts.items()]

    def with_progress(
        files: list[str] | None,
        language: str,
        style: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Iterator[tuple]:
        asking = client()
        with TURNS.admit(asking):
            yield from batch(asking, files, language, style, progress)

    strip = gr.Column()
    with gr.Row():
        with gr.Column(min_width=300):
            files = upload_files(f"Images (at most {MAX_BATCH_FILES})", height=220)
            language = gr.Dropdown(
                [("All languages", ALL), *loaded.languages], value=loaded.captioner.languages[0], label="Language"
            )
            style = gr.Radio(STYLES, value="caption", label="Style")
            with gr.Row():
                start = gr.Button("Caption all", variant="primary")
                cancel = gr.Button("Cancel", interactive=False)
            line = problem_line()
        with gr.Column(min_width=300, scale=2):
            summary = gr.Textbox(label="Progress", interactive=False, placeholder="No files yet.")
            table = gr.Dataframe(
                headers=COLUMNS,
                datatype="str",
                type="array",
                interactive=False,
                wrap=True,
                label="Captions",
                column_widths=["150px", "100px", "260px", "220px"],
            )
            with gr.Row():
                as_table = gr.File(label="CSV", interactive=False, height=90)
                as_lines = gr.File(label="JSON lines", interactive=False, height=90)
    given, results = [files, language, style], [table, as_table, as_lines, summary]
    running = offer([files.upload, start.click], with_progress, given, results, line, "batch", summary, cancel)
    paths = [sample(), *(str(loaded.examples / f"{name}.png") for name in SCENES)]
    with strip:
        tried = try_on_click(
            [[chosen, loaded.captioner.languages[0]] for chosen in (paths[:3], paths)],
            given,
            results,
            with_progress,
            line,
            summary,
            cancel,
        )
    stop_by(cancel, [running, tried], line)
    keep("batch", loaded, [*given, *results], line)


def as_csv(rows: list[list[str]]) -> str:
    """Write rows as CSV; a cell that a spreadsheet would take for a formula gets an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([f"'{cell}" if cell[:1] in "=+-@\t\r" and cell else cell for cell in row] for row in rows)
    return text.getvalue()


def as_json_lines(rows: list[list[str]]) -> str:
    """Write rows as one JSON object per line."""
    return "".join(json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=False) + "\n" for row in rows)
