"""What goes wrong is told in words, beside what caused it; results stay where they are."""

import html
import traceback

import gradio as gr
import torch


MEMORY = "The machine ran out of memory over this: try a smaller picture, or the same again in a minute."
UNFORESEEN = "Something went wrong here that nobody foresaw: try again, or try another picture."


def as_sentence(error: Exception) -> str:
    """Tell an error in one sentence for visitors; one that nobody foresaw is printed for whoever runs the Space."""
    if isinstance(error, gr.Error):
        sentence = html.unescape(str(error.message))  # Gradio's own messages are HTML
    elif isinstance(error, ValueError):
        sentence = str(error)
    elif isinstance(error, MemoryError | torch.OutOfMemoryError):
        sentence = MEMORY
    else:
        traceback.print_exception(error)
        sentence = UNFORESEEN
    return sentence[:1].upper() + sentence[1:] + ("" if sentence.endswith(".") else ".")
