"""Store what a model writes, row by row, so that nothing is generated twice."""

import random
from collections.abc import Hashable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from ..data.rows import Rows
from ..inference.evaluated import ContrastingModel, EvaluatedModel, LossModel, SearchProtocol
from ..resumable import JsonLines, hold, keep_settings


def keep_protocol(folder: Path, model: str, revision: str | None, protocol: SearchProtocol, stand_in: bool) -> None:
    """Write down what the predictions in a folder come from, and refuse to mix them with others.

    Raises:
        ValueError: the folder holds predictions of another model or protocol.
    """
    settings = {"model": model, "revision": revision, **asdict(protocol), "stand_in_images": stand_in}
    keep_settings(
        folder / "protocol.json", settings, f"{folder} holds predictions", "give another --output or remove it"
    )


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
    with hold(path):
        kept = JsonLines(path, "key")
        missing = [index for index, key in enumerate(keys) if key not in kept.entries]
        with tqdm(total=len(keys), initial=len(keys) - len(missing), unit="row", desc=path.stem, disable=None) as bar:
            for start in range(0, len(missing), batch_size):
                batch = [_row(rows, index, shown[index], protocol) for index in missing[start : start + batch_size]]
                kept.append(_ask(model, batch, protocol, kind))
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
