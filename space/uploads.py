"""What visitors upload: opened where they are used, so that what is wrong with one is shown there."""

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


def _as_paths(self: gr.File, payload: Any) -> list[str] | None:
    return None if payload is None else [file.path for file in payload]


def _given(component: Any, preprocess: Any) -> Any:
    """Return a class of components whose functions are given something else.

    A class, because Gradio makes the components of a session anew from theirs when they are updated, as by an example.
    Not by a `class` statement, for which Gradio would write a stub file beside this one.
    """
    body = {"preprocess": preprocess, "__module__": __name__}
    return ABCMeta.__new__(type(component), component.__name__, (component,), body)


_Image = _given(gr.Image, _as_upload)
_File = _given(gr.File, _as_paths)  # Gradio's own leaves an empty file behind for each


def upload_image(label: str, height: int, alt_text: str, min_width: int = 160, value: str | None = None) -> gr.Image:
    """Make an image to upload that is decoded by `open_picture` alone; functions are given an `Upload`.

    Args:
        value: path of a picture to begin with.
    """
    image: gr.Image = _Image(
        value, label=label, height=height, alt_text=alt_text, min_width=min_width, sources=["upload", "clipboard"]
    )
    return image


def upload_files(label: str, height: int) -> gr.File:
    """Make files to upload that are opened by `open_upload` alone; functions are given their paths.

    It takes any type: one file of another type would make Gradio refuse all of them.
    """
    files: gr.File = _File(file_count="multiple", label=label, height=height)
    return files


def open_picture(upload: Upload | None) -> Image.Image:
    """Open an uploaded picture.

    Raises:
        ValueError: there is none, or see `open_upload`.
    """
    if upload is None:
        raise ValueError("there is no image yet: upload one or choose an example")
    return open_upload(upload.path, upload.name)
