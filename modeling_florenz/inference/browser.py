"""Write a page that captions, translates and scores in a browser, with no server behind it."""

import hashlib
import lzma
import shutil
from pathlib import Path
from typing import Any

from PIL import Image

from ..checkpoint.loading import BUNDLED_MODEL, LoadedModel, is_bundled
from ..data.emoji_scenes.world import ATLAS, BACKGROUNDS, COLUMNS, EmojiWorld
from ..processing_florenz import LANGUAGES, TASKS, FlorenzProcessor
from ..resumable import whole_folder, write_json, write_text
from .export import Exported, export_model
from .onnx_folder import MANIFEST
from .onnx_graphs import cache_shape
from .onnx_model import OnnxFlorenz, load_exported


PAGE = Path(__file__).parents[1] / "browser" / "page"
_SAMPLE = BUNDLED_MODEL / "sample.png"
_RUNTIMES = ("wasm", "webgpu")
# Files of the folder of graphs that the page itself does not read.
_UNUSED = ("chat_template.jinja", "generation_config.json", "processor_config.json", MANIFEST)
_CARD = """---
title: {title}
sdk: static
license: {license}
pinned: false
---

# {title}

{text}
"""
_EXAMPLES = {
    "translate": "A picture of dog, bicycle and palm tree.",
    "score": {
        "text": "A picture of pet.",
        "language": "de",
        "candidates": ["Ein Bild: Hund.", "Ein Bild: Katze."],
    },
}


def export_page(
    model: str | Path,
    out: Path,
    revision: str | None = None,
    image_size: int | None = None,
    int8: bool = False,
) -> Exported:
    """Write a folder that any server of files can serve, complete or not at all; see `export_model`.

    Raises:
        ValueError: as in `export_model`; or this installation holds no page.

    Example:

    ```python
    >>> export_page("florenz-tiny", Path("page"))  # doctest: +SKIP
    Exported(folder=PosixPath('page'), equal=10, compared=10)
    ```
    """
    if not (PAGE / "index.html").is_file():
        raise ValueError("this installation holds no page: install modeling-florenz from a wheel or a clone")
    with whole_folder(out) as partial:
        found = export_model(model, partial / "model", revision, image_size, int8, gaze=True)
        loaded = load_exported(found.folder)
        for path in PAGE.iterdir():
            if path.suffix == ".xz":
                with lzma.open(path) as packed, (partial / path.stem).open("wb") as file:
                    shutil.copyfileobj(packed, file)
            else:
                shutil.copyfile(path, partial / path.name)
        shutil.copyfile(_SAMPLE, partial / _SAMPLE.name)
        is_tiny = is_bundled(model)
        if is_tiny:
            shutil.copyfile(ATLAS, partial / "sprites.webp")
        _write_about(partial, out.name)
        for name in _UNUSED:
            (partial / "model" / name).unlink(missing_ok=True)
        write_json(partial / "florenz.json", _settings(partial, loaded, is_tiny))
    return Exported(out, found.equal, found.compared)


def _write_about(folder: Path, title: str) -> None:
    card = (folder / "model" / "README.md").read_text(encoding="utf-8")
    license = next(line.removeprefix("license: ") for line in card.splitlines() if line.startswith("license: "))
    text = (
        "A page that captions images, translates beside them and scores translations in the browser. Nothing leaves "
        "the device, and once it was loaded it works without a network. Any server of files can serve this folder; "
        "the Hub does as a static Space."
    )
    write_text(folder / "README.md", _CARD.format(title=title, license=license, text=text))
    (folder / "model" / "README.md").unlink()
    for name in ("LICENSE", "NOTICE"):
        if (folder / "model" / name).is_file():
            (folder / "model" / name).rename(folder / name)


def _settings(folder: Path, loaded: LoadedModel, is_tiny: bool) -> dict[str, Any]:
    """Collect what the page must know of the model and of its files."""
    processor: FlorenzProcessor = loaded.processor
    graphs: Any = loaded.model
    sizes = {
        f"./{path.relative_to(folder).as_posix()}": path.stat().st_size
        for path in sorted((folder / "model").rglob("*"))
        if ".onnx" in path.name
    }
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found.update(f"{path.relative_to(folder).as_posix()} ".encode())
            found.update(hashlib.sha256(path.read_bytes()).digest())
    return {
        "version": found.hexdigest()[:16],
        "files": sizes,
        "runtimes": {name: (folder / f"ort-{name}.wasm").stat().st_size for name in _RUNTIMES},
        "pictures": ["./sample.png", *(["./sprites.webp"] if is_tiny else [])],
        **_of_model(graphs, processor),
        # florenz-tiny was not taught paragraphs.
        "styles": [task for task in TASKS if task != "translate"][: 2 if is_tiny else 3],
        "examples": _EXAMPLES,
        "scenes": _scenes() if is_tiny else None,
    }


def _of_model(model: OnnxFlorenz, processor: FlorenzProcessor) -> dict[str, Any]:
    config, images, shape = model.config, processor.image_processor, cache_shape(model.config)
    prompts = processor.encoder_tokenizer
    known = sorted(processor.languages, key=lambda code: [*LANGUAGES, code].index(code))
    limits = [config.text_config.max_position_embeddings - 1, model.generation_config.max_new_tokens or 128]
    return {
        "image": {"size": model.image_size, "mean": list(images.image_mean), "std": list(images.image_std)},
        "languages": {code: processor.languages[code] for code in known},
        "tasks": TASKS,
        "encoder": {"bos": prompts.bos_token_id, "eos": prompts.eos_token_id, "pad": prompts.pad_token_id},
        "decoder": {
            "start": config.decoder_start_token_id,
            "bos": config.bos_token_id,
            "eos": config.eos_token_id,
            "pad": config.pad_token_id,
        },
        "special": sorted(processor.tokenizer.all_special_ids),
        "max_prompt_length": processor.max_prompt_length,
        "max_target_length": processor.max_target_length,
        "max_new_tokens": min(limits),
        "cache": {"layers": list(shape.layers), "heads": shape.heads, "width": shape.head_dim},
    }


def _scenes() -> dict[str, Any]:
    world = EmojiWorld()
    with Image.open(ATLAS) as sprites:
        return {
            "things": [[noun.emoji, noun.names["en"]] for noun in world.nouns],
            "colours": BACKGROUNDS,
            "columns": COLUMNS,
            "cell": sprites.width // COLUMNS,
        }
