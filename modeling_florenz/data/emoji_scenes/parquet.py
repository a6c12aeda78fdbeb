"""Write the emoji scenes as parquet files with images, like the datasets on the Hub."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, Image, Sequence, Value
from tqdm import tqdm

from .rows import TEST_SEED
from .wording import PREFIXES
from .world import EmojiWorld


LANGUAGES = tuple(PREFIXES)
ROWS_PER_FILE = 2000
TRAIN_SEED = 0

_TEXT = Value("string")
_SCENE = {"image": Image(), "key": _TEXT, "emoji": Sequence(_TEXT), "background": _TEXT}
_SCENE |= {f"{style}_{language}": _TEXT for style in ("caption", "detailed_caption") for language in LANGUAGES}
SCENES = Features(_SCENE)
AMBIGUOUS = Features(
    {"image": Image(), "key": _TEXT, "language": _TEXT, "source": _TEXT, "correct": _TEXT, "incorrect": _TEXT}
)
FIELDS = {
    "image": "the scene, RGB, 96 x 96 px",
    "key": "what it shows and the seed of its shades and places",
    "emoji": "the things, left to right",
    "background": "its colour, in English",
    "caption_XX": "the things in one language: en, de, fr, es, ru, zh, it",
    "detailed_caption_XX": "background and things, place by place",
    "source": "an English sentence with one broader word",
    "correct, incorrect": "its translation for this image, and that for the other image of the pair",
    "language": "the language of both translations",
}


def write_parquet(folder: Path, train: int, test: int, pairs: int) -> dict[str, dict[str, int]]:
    """Write both configurations into `folder/data`.

    Args:
        folder: of the dataset; made if missing.
        train: scenes without a held-out pair of nouns.
        test: scenes with one.
        pairs: ambiguous pairs per language; each has two items.

    Returns:
        rows by configuration and split.

    Raises:
        ValueError: a number is not positive.
    """
    for name, number in (("train", train), ("test", test), ("pairs", pairs)):
        if number < 1:
            raise ValueError(f"{name} must be a positive number, not {number}")
    world = EmojiWorld()

    for split, number, seed in (("train", train, TRAIN_SEED), ("test", test, TEST_SEED)):
        _write(folder / "data" / "scenes", split, number, partial(_row, world, split, seed), SCENES)
    languages = [language for language in LANGUAGES if language != "en"]
    items = [item for language in languages for item in world.ambiguous_pairs(pairs, TEST_SEED, language)]
    _write(folder / "data" / "ambiguous", "test", len(items), items.__getitem__, AMBIGUOUS)
    return {"scenes": {"train": train, "test": test}, "ambiguous": {"test": len(items)}}


def _row(world: EmojiWorld, split: str, seed: int, index: int) -> dict[str, Any]:
    scene = world.scene(split, index, seed)
    row = {"image": world.render(scene), "key": world.key(scene), "background": scene.background}
    row["emoji"] = [world.nouns[noun].emoji for noun in scene.nouns]
    for language in LANGUAGES:
        row[f"caption_{language}"] = world.caption(scene, language)
        row[f"detailed_caption_{language}"] = world.detailed_caption(scene, language)
    return row


def _write(folder: Path, split: str, rows: int, row: Callable[[int], dict[str, Any]], features: Features) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, rows, ROWS_PER_FILE)
    for number, start in enumerate(tqdm(starts, desc=f"{folder.name} {split}", unit="file", disable=None)):
        path = folder / f"{split}-{number:05d}-of-{len(starts):05d}.parquet"
        part = [row(index) for index in range(start, min(start + ROWS_PER_FILE, rows))]
        columns = {name: [entry[name] for entry in part] for name in features}
        Dataset.from_dict(columns, features=features).to_parquet(path)
