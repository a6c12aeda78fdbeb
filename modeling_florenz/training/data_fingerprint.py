"""Take the fingerprint of the data of a run, so that it never goes on with other data than it began with."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..data.hub import HubRows
from ..data.rows import StoredImages
from ..resumable import read_settings, write_json
from .loaded_data import LoadedPart


_TEXTS = ("task", "language", "source", "target", "references", "incorrect")
# Scenes are drawn by the package: a few of them show whether it still draws the same.
_DRAWN = 64
# Of more images only every second, third and so on is read: reading millions would take longer than it is worth.
_MOST_READ = 200_000


def fingerprint(parts: Sequence[LoadedPart]) -> dict[str, Any]:
    """Return the fingerprint of loaded data.

    Returns:
        by the part's number and name: `rows`, and of each row a hash of its `texts` and, where it has a file, of its
        `images`, or the `commit` of its repository. Of scenes that the package draws, those of the first ones.
    """
    return {f"{number}: {part.name}": _part(part) for number, part in enumerate(parts, 1)}


def keep_fingerprint(path: Path, found: dict[str, Any]) -> str:
    """Write a fingerprint down, or compare it with the one that is there.

    Returns:
        the SHA-256 of the fingerprint, which stands in the record of the run.

    Raises:
        ValueError: the data changed; the first difference is named.
    """
    if path.exists():
        kept = read_settings(path, "choose another output_dir or remove it")
        if difference := first_difference(kept, found):
            raise ValueError(
                f"{path.parent} holds a run on other data: {difference}; bring the data back, or choose another "
                "output_dir"
            )
    else:
        write_json(path, found)
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def first_difference(kept: dict[str, Any], found: dict[str, Any]) -> str | None:
    """Name the first difference between two fingerprints in a few words; None if there is none."""
    for name in kept:
        if name not in found:
            return f"{name} is no longer there"
    for name, part in found.items():
        if name not in kept:
            return f"{name} is new"
        if part == kept[name]:
            continue
        if part.get("commit") != kept[name].get("commit"):
            commit = kept[name].get("commit")
            again = f" (revision: {commit} in the recipe brings it back)" if commit else ""
            return f"{name} was at commit {commit} and is at {part.get('commit')}{again}"
        if part["rows"] != kept[name]["rows"]:
            return f"{name} had {kept[name]['rows']:,} rows and has {part['rows']:,}"
        for kind in ("texts", "images"):
            before, now = kept[name].get(kind, []), part.get(kind, [])
            if before != now and sorted(before) == sorted(now):
                row = next(index for index, pair in enumerate(zip(before, now, strict=True)) if pair[0] != pair[1])
                return f"{name} has its rows in another order from row {row + 1:,} on"
            for index, (old, new) in enumerate(zip(before, now, strict=False)):
                if old != new:
                    what = "a text" if kind == "texts" else "the image"
                    return f"{name}: {what} of row {index + 1:,} changed"
        return f"{name} changed"
    return None


def _part(part: LoadedPart) -> dict[str, Any]:
    rows = part.rows
    if not isinstance(rows, StoredImages):
        examples = [rows[index] for index in range(min(_DRAWN, len(rows)))]
        images = [_short(example["image"].tobytes()) for example in examples]
        return {"rows": len(rows), "texts": [_text(example) for example in examples], "images": images}
    texts = [_text(row) for row in rows.without_images()]
    if isinstance(rows, HubRows) and rows.commit is not None:
        return {"rows": len(texts), "texts": texts, "commit": rows.commit}  # which fixes the images too
    step = -(-len(texts) // _MOST_READ)
    return {
        "rows": len(texts),
        "texts": texts,
        "images": [_image(rows, index) for index in range(0, len(texts), step)],
    }


def _text(row: dict[str, Any]) -> str:
    return _short(json.dumps({name: row.get(name) for name in _TEXTS}, sort_keys=True).encode())


def _image(rows: StoredImages, index: int) -> str:
    try:
        return rows.image_digest(index)[:12]
    except OSError:  # training itself reports an image that cannot be read
        return "unreadable"


def _short(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=6).hexdigest()
