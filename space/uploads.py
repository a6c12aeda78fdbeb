"""Pictures that visitors upload: opened where they are used, so that what is wrong with one is told there."""

from abc import ABCMeta
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from guard import open_upload
from PIL import Image


class Upload(NamedTuple):
    """Name an uploaded file: where it is, and what its visitor calls it."""

    path: str
    name: str


def _as_upload(self: gr.Image, payload: Any) -> Upload | None:
    return None if payload is None else Upload(payload.path, Path(payload.orig_name or "the image").name)


# A class, because Gradio makes the components of a session anew from theirs when they are updated, as by an example.
# Not by a `class` statement, for which Gradio would write a stub file beside this one.
_Image: Any = ABCMeta.__new__(type(gr.Image), "Image", (gr.Image,), {"preprocess": _as_upload, "__module__": __name__})


def upload_image(label: str, height: int, alt_text: str, min_width: int = 160) -> gr.Image:
    """Make an image to upload that is decoded by `open_picture` alone; functions are given an `Upload`."""
    image: gr.Image = _Image(label=label, height=height, alt_text=alt_text, min_width=min_width)
    return image


def open_picture(upload: Upload | None) -> Image.Image:
    """Open an uploaded picture.

    Raises:
        ValueError: there is none, or see `open_upload`.
    """
    if upload is None:
        raise ValueError("there is no image yet: upload one or choose an example")
    return open_upload(upload.path, upload.name)
