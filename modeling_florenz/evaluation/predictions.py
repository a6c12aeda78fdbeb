"""Store what a model writes, row by row, so that nothing is generated twice."""

import json
import random
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from .. import __version__
from ..checkpoint.fingerprint import DIGEST_LENGTH, digest
from ..data.rows import Rows, image_digest
from ..inference.evaluated import ContrastingModel, EvaluatedModel, LossModel, SearchProtocol
from ..resumable import JsonLines, hold, keep_settings


# Of a folder's settings, what says only how the model was called.
_CALLED = ("model", "revision")
# Of a row, what a model is asked.
_ASKED = ("task", "language", "source")
_GIVEN = {"contrast": (*_ASKED, "target", "incorrect"), "loss": (*_ASKED, "target")}


def made_from(
    model: EvaluatedModel, name: str, revision: str | None, protocol: SearchProtocol, stand_in: bool
) -> dict[str, Any]:
    """Return all that predictions depend on beside their rows: the model, by content, the search and the package.

    Args:
        name, revision: what the model is called here.
        stand_in: whether grey pictures stand in for missing images.
    """
    return {
        "model": name,
        "revision": revision,
        **model.fingerprint(),
        **asdict(protocol),
        "stand_in_images": stand_in,
        "package_version": __version__,
    }


def keep_protocol(folder: Path, settings: dict[str, Any]) -> None:
    """Write down what the predictions in a folder come from, and refuse to mix them with others.

    Args:
        folder: of the predictions.
        settings: see `made_from`; under which name and where a model was found may differ.

    Raises:
        ValueError: the folder holds predictions of another model, search or version of the package.
    """
    fix = "give another --output or remove it"
    keep_settings(folder / "protocol.json", settings, f"{folder} holds predictions", fix, _CALLED)


def text_digest(row: dict[str, Any], kind: str) -> str:
    """Digest what a model is asked about a row, apart from the image."""
    return digest(json.dumps(row.get(name), ensure_ascii=True).encode() for name in _GIVEN.get(kind, _ASKED))


def check_kept(
    path: Path, entries: Mapping[Hashable, dict[str, Any]], wanted: Mapping[Hashable, Mapping[str, str]]
) -> None:
    """Refuse predictions that were made for other texts or images under the same keys.

    Args:
        path: of the predictions, for the message.
        entries: predictions by key, each with the digests of what the model was asked and shown.
        wanted: the digests that they must have, `asked` and perhaps `shown`; others are not looked at.

    Raises:
        ValueError: some differ; their number, and the first of them, are named.
    """
    changed: dict[str, list[Hashable]] = {}
    for key, digests in wanted.items():
        for name, value in digests.items():
            if key in entries and entries[key].get(name) != value:
                changed.setdefault({"asked": "text", "shown": "image"}[name], []).append(key)
    if changed:
        found = " and ".join(f"{len(keys)} for another {name} (such as {keys[0]})" for name, keys in changed.items())
        raise ValueError(f"{path} holds predictions made {found}: remove the file to make them again")


def shown_images(count: int, mode: str, seed: int = 0) -> list[int]:
    """Return, for each row, the row whose image it is shown; if shuffled, no row sees its own."""
    order = list(range(count))
    if mode != "shuffled":
        return order
    if count < 2:
        raise ValueError("one image alone cannot be shuffled: take --limit 2 or more")
    random.Random(seed).shuffle(order)
    shown = [0] * count
    for place, row in enumerate(order):  # a single cycle through all rows
        shown[row] = order[(place + 1) % count]
    return shown


def predict(
    model: EvaluatedModel,
    rows: Rows,
    path: Path,
    protocol: SearchProtocol,
    batch_size: int,
    kind: str,
) -> dict[Hashable, dict[str, Any]]:
    """Ask the model for what a file of predictions lacks; return all entries by key.

    Args:
        kind: `contrast` for perplexities of right and wrong targets, `loss` for cross-entropies, else texts.

    Raises:
        ValueError: an image cannot be read, the model cannot do what is asked, or another process is writing the file.
    """
    shown = shown_images(len(rows), protocol.image)
    keys = rows.column("key")
    asked = [text_digest(row, kind) for row in rows.without_images()]

    def made_for(index: int) -> dict[str, str]:
        # Of a blank image the size is that of the row's own.
        return {"asked": asked[index], "shown": _shown_digest(rows, shown[index])}

    with hold(path):
        kept = JsonLines(path, "key")
        known = {key: made_for(index) for index, key in enumerate(keys) if key in kept.entries}
        check_kept(path, kept.entries, known)
        missing = [index for index, key in enumerate(keys) if key not in kept.entries]
        with tqdm(total=len(keys), initial=len(keys) - len(missing), unit="row", desc=path.stem, disable=None) as bar:
            for start in range(0, len(missing), batch_size):
                indices = missing[start : start + batch_size]
                batch = [_row(rows, index, shown[index], protocol) for index in indices]
                answers = _ask(model, batch, protocol, kind)
                kept.append({**answer, **made_for(index)} for answer, index in zip(answers, indices, strict=True))
                bar.update(len(batch))
    return {key: kept.entries[key] for key in keys}


def _ask(
    model: EvaluatedModel, batch: Sequence[dict[str, Any]], protocol: SearchProtocol, kind: str
) -> list[dict[str, Any]]:
    columns: dict[str, list[Any]]
    if kind == "contrast":
        if not isinstance(model, ContrastingModel):
            raise ValueError("the model has no perplexities of given translations: take a benchmark without contrasts")
        sides = [model.perplexities(batch, [row[side] for row in batch]) for side in ("target", "incorrect")]
        columns = {"correct": sides[0], "incorrect": sides[1]}
    elif kind == "loss":
        if not isinstance(model, LossModel):
            raise ValueError("the model has no cross-entropies: leave --loss out")
        columns = {"loss": model.losses(batch, protocol)}
    else:
        columns = {"text": model.generate(batch, protocol)}
    values = zip(*columns.values(), strict=True)
    return [
        {"key": row["key"], **dict(zip(columns, value, strict=True))} for row, value in zip(batch, values, strict=True)
    ]


def _shown_digest(rows: Rows, index: int) -> str:
    try:
        return image_digest(rows, index)[:DIGEST_LENGTH]
    except OSError as error:
        raise ValueError(f"row {index}: its image could not be read ({error}): fix it, then run again") from None


def _row(rows: Rows, index: int, shown: int, protocol: SearchProtocol) -> dict[str, Any]:
    try:
        row = dict(rows[index])
        if protocol.image == "shuffled":
            row["image"] = rows[shown]["image"]
        elif protocol.image == "blank":
            row["image"] = Image.new("RGB", row["image"].size, (128, 128, 128))
    except Exception as error:
        raise ValueError(f"row {index}: its image could not be read ({error}): fix it, then run again") from None
    return row
