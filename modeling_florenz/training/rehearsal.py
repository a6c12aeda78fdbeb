"""Let a model rehearse: what it writes before training, in the languages it knows, are targets during training.

So a new language does not push out the old ones, and no data in the old ones is needed.
"""

import random
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset
from tqdm import tqdm

from ..checkpoint.fingerprint import DIGEST_LENGTH, fingerprint
from ..data.hiding import Hiding
from ..data.rows import pixel_digest
from ..modeling_florenz import FlorenzForConditionalGeneration
from ..processing_florenz import FlorenzProcessor
from ..resumable import JsonLines, hold, keep_settings
from .loaded_data import Groups


class Rehearsal(Dataset):
    """Hold images and sources of the training data with the base model's own words as targets."""

    def __init__(self, groups: Groups, entries: Sequence[dict[str, Any]]) -> None:
        self.groups, self.entries = groups, list(entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> dict[str, Any]:
        entry = self.entries[index]
        row = dict(self.groups[entry["group"]][entry["row"]])
        new = {name: entry[name] for name in ("task", "language", "source", "target")}
        return {**row, **new, "hiding": Hiding(), "hidden_sources": 0.0}


def rehearse(
    model: FlorenzForConditionalGeneration,
    processor: FlorenzProcessor,
    groups: Groups,
    languages: Sequence[str],
    count: int,
    seed: int,
    path: Path,
    image_size: int | None = None,
    batch_size: int = 32,
) -> Rehearsal:
    """Let the base model caption and translate the training images in the languages it knows (greedy).

    Args:
        groups: the training data; captions take its images, translations also its sources.
        languages: ISO 639-1 codes of the base model.
        path: JSONL file that keeps the outputs; what it holds is not made again.

    Raises:
        ValueError: the file belongs to another model or to other data.
    """
    rng = random.Random(f"rehearsal/{seed}")
    translating = [name for name in groups if name.startswith("translate/")]
    plans = []
    for draw in range(count):
        # The language first, so that English, into which nothing is translated, is rehearsed as often as the others.
        language = rng.choice(list(languages))
        task = rng.choice(("caption", "caption", "detailed_caption", "translate"))
        if task == "translate" and (language == "en" or not translating):
            task = "caption"
        group = rng.choice(translating if task == "translate" else list(groups))
        row = rng.randrange(len(groups[group]))
        plans.append({"draw": draw, "group": group, "row": row, "task": task, "language": language})
    notes, other = path.with_suffix(".json"), "choose another output_dir"
    fix = f"remove it or {other}"
    made_from = {**fingerprint(model, processor), "image_size": image_size}
    with hold(path, wait=True):  # of several processes that train together, one writes and all read
        keep_settings(notes, made_from, f"{path} was made", f"remove both or {other}")
        kept = JsonLines(path, "draw")
        for entry in kept.entries.values():
            draw = entry["draw"]
            if draw not in range(count) or any(entry.get(name) != value for name, value in plans[draw].items()):
                raise ValueError(f"{path} was made for other data: {fix}")
            if any(entry.get(name) != value for name, value in _given(groups, plans[draw]).items()):
                raise ValueError(f"{path} was made for another image or text, such as draw {draw}: {fix}")
        missing = [plan for plan in plans if plan["draw"] not in kept.entries]
        with tqdm(total=count, initial=len(kept.entries), unit="text", desc="rehearsal", disable=None) as bar:
            for start in range(0, len(missing), batch_size):
                batch = missing[start : start + batch_size]
                kept.append(_generate(model, processor, groups, batch, image_size))
                bar.update(len(batch))
    # An image that could not be read or an empty output teaches nothing.
    entries = [kept.entries[draw] for draw in range(count)]
    return Rehearsal(groups, [entry for entry in entries if entry["target"].strip()])


def _given(groups: Groups, plan: dict[str, Any]) -> dict[str, Any]:
    """Return the source of a draw and a digest of its image, both None if the image cannot be read."""
    with suppress(Exception):  # training itself reports the broken image
        row = groups[plan["group"]][plan["row"]]
        source = row["source"] if plan["task"] == "translate" else None
        return {"source": source, "shown": pixel_digest(row["image"])[:DIGEST_LENGTH]}
    return {"source": None, "shown": None}


@torch.inference_mode()
def _generate(
    model: FlorenzForConditionalGeneration,
    processor: FlorenzProcessor,
    groups: Groups,
    plans: Sequence[dict[str, Any]],
    image_size: int | None,
) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = [{**plan, **_given(groups, plan), "target": ""} for plan in plans]
    shown = [entry for entry in entries if entry["shown"] is not None]
    images = [groups[entry["group"]][entry["row"]]["image"] for entry in shown]
    if shown:
        inputs = processor(
            images=images,
            text=[entry["source"] for entry in shown],
            task=[entry["task"] for entry in shown],
            language=[entry["language"] for entry in shown],
            image_size=image_size,
        ).to(model.device)
        ids = model.generate(**inputs, num_beams=1, do_sample=False, max_new_tokens=processor.max_target_length - 1)
        for entry, text in zip(shown, processor.decode_generated(ids), strict=True):
            entry["target"] = text
    return entries
