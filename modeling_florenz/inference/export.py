"""Write a Florenz as graphs that ONNX Runtime runs, and show that they write the same texts."""

import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ..checkpoint.licences import UNKNOWN, license_of, pass_on_licences
from ..checkpoint.loading import BUNDLED_MODEL, LoadedModel, find_model, load
from ..checkpoint.settings import read_settings
from ..configuration_florenz import FlorenzConfig
from ..resumable import whole_folder, write_text
from .onnx_folder import OnnxManifest, file_digest, is_exported, write_manifest
from .onnx_graphs import OPSET, write_graphs
from .onnx_model import load_exported


_CARD = """---
license: {license}
pipeline_tag: image-text-to-text
tags: [florenz, onnx, image-captioning, translation]
---

# {title}

{model} as four graphs of ONNX, opset {opset}, for square images of {size} px{int8}.

| graph | takes | gives |
|---|---|---|
| `vision.onnx` | images | image tokens |
| `prompt_encoder.onnx` | image tokens, prompt | encoder states |
| `cross_cache.onnx` | encoder states | their keys and values in each layer |
| `decoder_step.onnx` | new tokens; keys and values, also those of earlier tokens | logits; keys and values |

```python
from modeling_florenz import Captioner

Captioner("{title}").caption(["photo.jpg"], language="de")
```

Read the files named LICENSE and NOTICE beside this card before passing the weights on.
"""
_NEW_TOKENS = 24  # of each text that is compared


@dataclass(frozen=True)
class Exported:
    """Hold where the graphs are, and how many of the texts that were compared have the same ids."""

    folder: Path
    equal: int
    compared: int


def export_model(
    model: str | Path,
    out: Path,
    revision: str | None = None,
    image_size: int | None = None,
    int8: bool = False,
    gaze: bool = False,
) -> Exported:
    """Write a model as graphs of ONNX, complete or not at all, and compare ten texts with those of the model.

    Args:
        model: a folder, a Hub repository, or `florenz-tiny`.
        out: the new folder; `Captioner(out)` runs it.
        revision: branch, tag or commit of the repository.
        image_size: side of the images in pixels; the processor's, if left out.
        int8: store matrices in 8 bits. Texts may then differ; they are counted.
        gaze: also give out where each token looked.

    Raises:
        ValueError: it is an adapter, quantised or exported already, the size does not fit, the folder exists, or a
            text differs.

    Example:

    ```python
    >>> export_model("florenz-tiny", Path("florenz-tiny-onnx"))  # doctest: +SKIP
    Exported(folder=PosixPath('florenz-tiny-onnx'), equal=10, compared=10)
    ```
    """
    folder = find_model(model, revision)
    _check_source(folder)
    # Asked for before the model is loaded, and again when it is written.
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ValueError(f"{out} exists already: remove it or give another name")
    loaded = load(folder, device="cpu")
    side = _fit_images(loaded, image_size)
    with whole_folder(out) as partial:
        write_graphs(loaded.model, partial, side, int8, gaze)
        loaded.model.config.save_pretrained(partial)
        loaded.model.generation_config.save_pretrained(partial)
        loaded.processor.save_pretrained(partial)
        pass_on_licences(folder, partial)
        name = "florenz-tiny" if folder == BUNDLED_MODEL else Path(str(model)).name
        text = _CARD.format(
            license=license_of(folder) or UNKNOWN,
            title=out.name,
            model=name,
            opset=OPSET,
            size=side,
            int8=", with matrices stored in 8 bits" if int8 else "",
        )
        write_text(partial / "README.md", text)
        for code in partial.glob("*.py"):
            code.unlink()  # the code of the model, which these graphs do not need
        graphs = {path.name: file_digest(path) for path in sorted(partial.glob("*.onnx*"))}
        libraries = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime")
        versions = {library: importlib.metadata.version(library) for library in libraries}
        write_manifest(partial, OnnxManifest(OPSET, side, int8, graphs, versions))
        found = [torch.equal(one, other) for one, other in _texts(loaded, load_exported(partial))]
        if not int8 and not all(found):
            raise ValueError(
                f"{found.count(False)} of {len(found)} texts of the graphs differ from those of {model}: nothing was "
                "written; another version of torch or onnxscript may help"
            )
    return Exported(out, sum(found), len(found))


def _check_source(folder: Path) -> None:
    if (folder / "adapter_config.json").exists():
        raise ValueError(
            f"{folder} holds an adapter: merge it first, with merge: true in its recipe for florenz train, or with "
            "peft's merge_and_unload() and save_pretrained()"
        )
    if is_exported(folder):
        raise ValueError(f"{folder} holds graphs already: give the model that they were made of")
    path = folder / "config.json"
    if path.is_file() and read_settings(path).get("quantization_config"):
        raise ValueError(
            f"{folder} is quantised, which has no graph: export the model it was made of, with --int8 for 8 bits"
        )


def _fit_images(loaded: LoadedModel, image_size: int | None) -> int:
    config: FlorenzConfig = loaded.model.config
    images: Any = loaded.processor.image_processor
    side = int(images.size["height"]) if image_size is None else image_size
    room = config.encoder_config.max_position_embeddings - config.num_image_tokens(side)
    if room < 3:
        raise ValueError(f"an image of {side} px leaves the encoder {room} tokens for the prompt: use a smaller one")
    images.size = {"height": side, "width": side}
    loaded.processor.max_prompt_length = min(loaded.processor.max_prompt_length, room)
    return side


def _texts(one: LoadedModel, other: LoadedModel) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Write ten texts with both models: five images, greedy captions and translations with beams."""
    with Image.open(BUNDLED_MODEL / "sample.png") as sample:
        picture = sample.convert("RGB")
    turns = (None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.FLIP_LEFT_RIGHT)
    images = [picture if turn is None else picture.transpose(turn) for turn in turns]
    images.append(Image.new("RGB", picture.size, "teal"))
    languages = list(one.processor.languages)
    for place, image in enumerate(images):
        language = languages[place % len(languages)]
        for task, text, beams in (("caption", None, 1), ("translate", "A picture of pet.", 4)):
            inputs = one.processor(images=image, task=task, language=language, text=text)
            search = {"num_beams": beams, "do_sample": False, "max_new_tokens": _NEW_TOKENS}
            with torch.inference_mode():
                yield one.model.generate(**inputs, **search), other.model.generate(**inputs, **search)
