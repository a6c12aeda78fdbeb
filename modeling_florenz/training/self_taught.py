"""Let a model teach itself: its own captions by way of English are the targets of direct ones.

An image without a label is captioned in English, and this caption is translated beside the image. Captions that the
model itself finds unlikely are left out.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from ..checkpoint.fingerprint import DIGEST_LENGTH, fingerprint
from ..data.rows import Rows, image_digest, join
from ..data.unlabelled import UNLABELLED
from ..inference.scoring import mean_log_probabilities
from ..modeling_florenz import FlorenzForConditionalGeneration
from ..processing_florenz import FlorenzProcessor
from ..resumable import JsonLines, hold, keep_settings
from .loaded_data import Groups


class SelfTaught:
    """Pair images with the model's own texts as targets.

    Args:
        images: rows with an `image`.
        entries: the model's captions by way of English: `row`, `language`, `source` (in English) and `target`.
        task: `caption` for direct captions in the entry's language, or `translate` for what the model can already do,
            the translation of its English caption.
    """

    def __init__(self, images: Rows, entries: Sequence[dict[str, Any]], task: str) -> None:
        self.images, self.entries, self.task = images, list(entries), task

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return {**self.images[self.entries[index]["row"]], **self._words(self.entries[index])}

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.without_images()]

    def without_images(self) -> list[dict[str, Any]]:
        keys = self.images.column("key")
        return [{"key": keys[entry["row"]], **self._words(entry)} for entry in self.entries]

    def contrasts(self) -> None:
        return None

    def _words(self, entry: dict[str, Any]) -> dict[str, Any]:
        return {
            "task": self.task,
            "language": entry["language"],
            "source": entry["source"] if self.task == "translate" else None,
            "target": entry["target"],
            "references": [entry["target"]],
        }


def best_share(entries: Sequence[dict[str, Any]], keep: float) -> list[dict[str, Any]]:
    """Return the entries that the model finds likeliest, in their order.

    Args:
        entries: each with a `score`, the lower of the mean log-probabilities of its English caption and of the
            translation.
        keep: share to keep, above 0 and up to 1.
    """
    ranked = sorted(entries, key=lambda entry: -entry["score"])
    kept = {entry["row"] for entry in ranked[: round(keep * len(entries))]}
    return [entry for entry in entries if entry["row"] in kept]


def self_taught_groups(names: Iterable[str]) -> list[str]:
    """List the groups of training data, with those that self-teaching makes from unlabelled images."""
    found: dict[str, None] = {}
    for name in names:
        kind, _, language = name.partition("/")
        taught = (f"caption/{language}", "caption/en", f"translate/{language}")
        found |= dict.fromkeys(taught if kind == UNLABELLED else (name,))
    return list(found)


def left_out(groups: Groups, keep: float, count: int | None) -> Counter[str]:
    """Count the rows of each group that come of images beyond the first `count`, in each language without labels."""
    found: Counter[str] = Counter()
    for name, rows in groups.items():
        if name.startswith(f"{UNLABELLED}/"):
            more = round(keep * len(rows)) - round(keep * _first(rows, count))
            found.update(dict.fromkeys(self_taught_groups([name]), more))
    return found


def with_self_taught(
    model: FlorenzForConditionalGeneration,
    processor: FlorenzProcessor,
    groups: Groups,
    keep: float,
    folder: Path,
    image_size: int | None = None,
    count: int | None = None,
) -> Groups:
    """Replace unlabelled images by captions that the model writes about them; see `teach_itself`."""
    parts: dict[str, list[Rows]] = {name: [] for name in self_taught_groups(groups)}
    for name, rows in groups.items():
        kind, _, language = name.partition("/")
        if kind == UNLABELLED:
            path = folder / f"self-taught-{language}.jsonl"
            taught = teach_itself(model, processor, rows, language, keep, path, image_size, count)
        else:
            taught = {name: rows}
        for group, found in taught.items():
            parts[group].append(found)
    return {name: joined for name, found in parts.items() if (joined := join(found)) is not None}


def teach_itself(
    model: FlorenzForConditionalGeneration,
    processor: FlorenzProcessor,
    images: Rows,
    language: str,
    keep: float,
    path: Path,
    image_size: int | None = None,
    count: int | None = None,
    batch_size: int = 32,
) -> Groups:
    """Caption images in a language by way of English (greedy), and keep the likeliest captions.

    What the model can already do is rehearsed with the same texts: its English captions and their translations.

    Args:
        images: rows with an `image`.
        language: ISO 639-1 code that the model can translate into.
        keep: share of the captions to keep.
        path: JSON lines that store the captions; those in the file are not made again. The `.json` beside it says
            what made them.
        count: of the images, only the first so many; None for all.

    Returns:
        groups of examples: captions in the language, captions of the same images in English, and translations.

    Raises:
        ValueError: no caption is left, or the file holds those of another model or of other images.
    """
    fix = "remove both or choose another output_dir"
    made_from = {**fingerprint(model, processor), "image_size": image_size}
    wanted = range(_first(images, count))
    with hold(path, wait=True):  # of several processes that train together, one writes and all read
        keep_settings(path.with_suffix(".json"), made_from, f"{path} holds captions", fix)
        kept = JsonLines(path, "language", "row")
        changed = [
            row
            for row in wanted
            if (entry := kept.entries.get((language, row))) and entry.get("shown") != _shown(images, row)
        ]
        if changed:
            raise ValueError(f"{path} holds captions of {len(changed)} other images, such as row {changed[0]}: {fix}")
        missing = [row for row in wanted if (language, row) not in kept.entries]
        done = len(wanted) - len(missing)
        with tqdm(total=len(wanted), initial=done, desc=f"self-taught {language}", disable=None) as bar:
            for start in range(0, len(missing), batch_size):
                rows = missing[start : start + batch_size]
                kept.append(_pivot(model, processor, images, rows, language, image_size))
                bar.update(len(rows))
    entries = [kept.entries[language, row] for row in wanted]
    # An image that could not be read or an empty caption teaches nothing.
    found = best_share([entry for entry in entries if entry["target"].strip()], keep)
    if not found:
        raise ValueError(f"no caption in {language} is left to learn from: check the images and the model")
    english = [{**entry, "language": "en", "target": entry["source"]} for entry in found]
    return {
        f"caption/{language}": SelfTaught(images, found, "caption"),
        "caption/en": SelfTaught(images, english, "caption"),
        f"translate/{language}": SelfTaught(images, found, "translate"),
    }


def _first(images: Rows, count: int | None) -> int:
    return len(images) if count is None else min(count, len(images))


@torch.inference_mode()
def _pivot(
    model: FlorenzForConditionalGeneration,
    processor: FlorenzProcessor,
    images: Rows,
    rows: Sequence[int],
    language: str,
    image_size: int | None,
) -> list[dict[str, Any]]:
    opened = {}
    for row in rows:
        try:
            opened[row] = images[row]["image"]
        except Exception:  # training itself reports the broken image
            continue
    nothing = {"language": language, "source": "", "target": "", "score": 0.0}
    entries = {row: {**nothing, "row": row, "shown": _shown(images, row)} for row in rows}
    if opened:
        english, first = _write(model, processor, list(opened.values()), "caption", "en", None, image_size)
        # A translation needs a source; an empty caption stays without a target.
        sources = [text or "-" for text in english]
        texts, second = _write(model, processor, list(opened.values()), "translate", language, sources, image_size)
        for row, source, text, scores in zip(opened, english, texts, zip(first, second, strict=True), strict=True):
            entries[row] |= {"source": source, "target": text if source else "", "score": round(min(scores), 5)}
    return list(entries.values())


def _shown(images: Rows, row: int) -> str | None:
    with suppress(Exception):  # training itself reports the broken image
        return image_digest(images, row)[:DIGEST_LENGTH]
    return None


def _write(
    model: FlorenzForConditionalGeneration,
    processor: FlorenzProcessor,
    images: Sequence[Any],
    task: str,
    language: str,
    sources: list[str] | None,
    image_size: int | None,
) -> tuple[list[str], list[float]]:
    """Return what the model writes and the mean log-probability that it gives each text."""
    inputs = processor(images=list(images), text=sources, task=task, language=language, image_size=image_size)
    inputs = inputs.to(model.device)
    longest = processor.max_target_length - 1
    ids = model.generate(**inputs, num_beams=1, do_sample=False, max_new_tokens=longest)
    texts = processor.decode_generated(ids)
    targets = processor(
        images=list(images),
        text=sources,
        task=task,
        language=language,
        target=[text or "-" for text in texts],
        image_size=image_size,
    ).to(model.device)
    return texts, mean_log_probabilities(model(**targets).logits, targets["labels"]).tolist()
