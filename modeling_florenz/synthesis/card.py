"""Write the card of a synthesized dataset, with counts, sources, what was left out, and pictures."""

import io
from collections import Counter
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCardData
from PIL import Image

from .. import __version__
from ..card_template import fill, find_cards, table
from ..resumable import write_json, write_text
from ..run_record import shorten
from .archives import ENDINGS
from .pipeline import Synthesis
from .recipe import SCENES, Recipe
from .shards import Row, Shard
from .sources import decoded
from .statistics import count_rows


_SHOWN, _SIDE = 3, 256
_FIELDS = {
    "image": "the picture",
    "task": "caption, detailed_caption, more_detailed_caption or translate",
    "language": "of the target, ISO 639-1",
    "source": "the English text of a translation; empty for captions",
    "target": "what a model should write",
    "references": "the target, as a list",
    "key": "digest of the image's file, and the number of the row",
    "nsfw": "how fit for work the image is, as its source says",
}
_STEPS = {
    "images": "reading images",
    "deduplicate": "comparing images",
    "describe": "describing images",
    "translate": "translating",
    "bitexts": "filtering sentence pairs",
    "embed": "embedding images",
    "match": "matching sentence pairs",
    "assemble": "writing rows",
}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def write_card(recipe: Recipe, run: Synthesis, folder: Path) -> None:
    """Write `README.md`, `statistics.json` and example pictures into the folder of a dataset.

    Args:
        recipe: of the run.
        run: whose last step made the rows.
        folder: holds the data already.
    """
    rows = run.steps[-1]
    groups = count_rows(rows.read("task", "language", "source", "target", "key"), recipe.processor)
    total = sum(rows.counts)
    statistics = {
        "rows": total,
        "groups": groups,
        "left_out": [list(entry) for entry in run.table()],
        "evaluation_sets": run.tested.found,
        "seed": recipe.seed,
    }
    write_json(folder / "statistics.json", statistics)
    languages = sorted({group.partition("/")[2] for group in groups} | {"en"})
    inside = "json." if recipe.format == "webdataset" else ""
    fields = {
        name if name == "image" else f"{inside}{name}": what
        for name, what in _FIELDS.items()
        if name != "nsfw" or recipe.images.nsfw
    }
    data = f"data/train-*.{ENDINGS[recipe.format]}"
    metadata = DatasetCardData(
        language=languages,
        license=recipe.license,
        pretty_name=recipe.name,
        task_categories=["image-to-text", "translation"],
        size_categories=[next((name for limit, name in _SIZES if total < limit), "1M<n<10M")],
        annotations_creators=["machine-generated"],
        multilinguality=["multilingual", "translation"],
        tags=["florenz", "image-captioning", "multimodal-translation", "synthetic"],
        configs=[{"config_name": "default", "data_files": [{"split": "train", "path": data}]}],
    )
    where = f'"{recipe.repository}"' if recipe.repository else f'"{recipe.format}", data_files="{data}"'
    here = "" if recipe.repository else "# In the folder of this card.\n"
    values = {
        "name": recipe.name,
        "summary": recipe.summary,
        "examples": _examples(rows.shards(), folder),
        "quick_start": here + f'rows = load_dataset({where}, split="train", streaming=True)\nprint(next(iter(rows)))',
        "place": f"repo: {recipe.repository}" if recipe.repository else f"folder: {run.folder.name}",
        "columns": ", ".join(f"{name}: {inside}{name}" for name in ("task", "language", "source", "target")),
        "languages": ", ".join(sorted({group.partition("/")[2] for group in groups})),
        "processor": recipe.processor or "florenz-tiny",
        "groups": _groups(groups),
        "fields": table([(f"`{name}`", what) for name, what in fields.items()], ("field", "what")),
        "sources": _sources(recipe, run),
        "making": _making(recipe),
        "maker": f"`florenz synthesize` of modeling_florenz {__version__}, seed {recipe.seed}",
        "left_out": _left_out(run),
        "tested": _tested(run),
        "licence": f"`{recipe.license}`, as far as the licences of the sources above allow; they stay in force.",
    }
    write_text(folder / "README.md", fill(find_cards(), "synthesis", metadata, values))


def _groups(groups: dict[str, dict[str, Any]]) -> str:
    lines = [
        (*name.split("/"), f"{found['rows']:,}", f"{found['images']:,}", *map(str, list(found.values())[2:]))
        for name, found in groups.items()
    ]
    return table(lines, ("task", "language", "rows", "images", "tokens of prompts", "tokens of targets"))


def _sources(recipe: Recipe, run: Synthesis) -> str:
    counts = {step.name: sum(step.counts) for step in run.steps}
    lines = [("images", recipe.images.source, recipe.images.license, f"{counts['deduplicate']:,} images")]
    pairs = Counter(row["origin"] for step in run.steps if step.name == "bitexts" for row in step.read("origin"))
    lines += [
        ("sentence pairs", entry.source, entry.license, f"the closest of {pairs[origin]:,} pairs to each image")
        for origin, entry in enumerate(recipe.bitexts)
    ]
    return table(lines, ("what", "source", "licence", "used"))


def _making(recipe: Recipe) -> str:
    lines = []
    if recipe.describe:
        asked = f'asked "{recipe.describe.prompt}"' if recipe.describe.model != SCENES else "knows its scenes"
        lines.append(("description of images", _model(recipe.describe.model), asked))
    if recipe.translate:
        how = f"into {', '.join(recipe.translate.languages)}"
        if recipe.translate.model != SCENES:
            how += f"; {recipe.translate.num_beams} beams"
        lines.append(("translation of descriptions", _model(recipe.translate.model), how))
    if recipe.match:
        match = recipe.match
        how = (
            f"{match.top} images for each pair, cosine at least {match.threshold:g}, {match.cap} pairs for each image"
        )
        lines.append(("matching of sentence pairs to images", _model(match.model), f"{how} and language"))
    return table(lines, ("step", "model", "how")) if lines else "No model was asked."


def _model(name: str) -> str:
    return "the program that draws the emoji scenes" if name == SCENES else f"`{shorten(name)}`"


def _left_out(run: Synthesis) -> str:
    lines = []
    for step in run.steps:
        reasons = step.reasons()
        read = sum(step.counts) + reasons.total()
        for reason, count in sorted(reasons.items(), key=lambda entry: (-entry[1], entry[0])):
            share = f"{100 * count / read:.1f} %" if 1000 * count >= read else "under 0.1 %"
            lines.append((_STEPS[step.name], reason, f"{count:,}", share))
    return table(lines, ("step", "reason", "count", "share")) if lines else "Nothing was left out."


def _tested(run: Synthesis) -> str:
    found, missing = run.tested.found, run.tested.missing
    words = f"Compared with these evaluation sets: {', '.join(found) or 'none'}."
    return words + (f" Not compared, for their folders were not there: {', '.join(missing)}." if missing else "")


def _examples(shards: list[Shard], folder: Path) -> str:
    """Save a few pictures, and lay out their rows."""
    (folder / "examples").mkdir()
    parts: list[str] = []
    images: dict[str, list[Row]] = {}
    for shard in shards[:1]:
        for row in shard.read():
            images.setdefault(row["key"].partition("#")[0], []).append(row)
    step = max(1, len(images) // _SHOWN)
    for number, rows in enumerate(list(images.values())[::step][:_SHOWN], 1):
        name = f"examples/{number}.jpg"
        _save(rows[0]["image"]["bytes"], folder / name)
        lines = [(row["task"], row["language"], _cell(row["source"]), _cell(row["target"])) for row in rows[:8]]
        parts += [f"![Example {number}]({name})", table(lines, ("task", "language", "source", "target"))]
    return "\n\n".join(parts)


def _save(content: bytes, path: Path) -> None:
    image = decoded(content)
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    path.write_bytes(buffer.getvalue())


def _cell(text: str) -> str:
    # Texts are others': none of it may act as Markdown, or as a field of the template.
    marks = str.maketrans({mark: f"&#{ord(mark)};" for mark in "\\`*_{}[]<>|#$!&"})
    return text[:300].translate(marks)
