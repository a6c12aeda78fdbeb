"""Write a few made-up entries in the files of each dataset, for trial runs and tests."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any


# Writes entries into a folder: for a split, and pairs of task and language.
Writer = Callable[[Path, str, Sequence[tuple[str, str]]], None]

SAMPLES = 6
_COCO = "COCO_val2014_{:012d}.jpg"


def write_multi30k(folder: Path, split: str, pairs: Sequence[tuple[str, str]]) -> None:
    """Write both tasks of Multi30K in the same split."""
    ambiguous = "test_2017_mscoco"
    names = [(_COCO if split == ambiguous else "{}.jpg").format(index) for index in range(SAMPLES)]
    _write_images(folder / "images", names)
    for task, ending in (("task1", ""), ("task2", "_images")):
        _write_lines(folder / "data" / task / "image_splits" / f"{split}{ending}.txt", names)
    for code in dict.fromkeys(("en", *(language for _, language in pairs))):
        lines = _captions(code)
        _write_lines(folder / "data" / "task1" / "raw" / f"{split}.{code}", lines)
        for number in range(1, 6):
            _write_lines(folder / "data" / "task2" / "raw" / f"{split}.{number}.{code}", lines)
    # Training on COCO leaves these images out.
    tested = folder / "data" / "task1" / "image_splits" / f"{ambiguous}.txt"
    if not tested.exists():
        _write_lines(tested, [f"{_COCO.format(0)}#1"])


def write_commute(folder: Path, split: str, pairs: Sequence[tuple[str, str]]) -> None:
    """Write sentences of CoMMuTE, each with the right translation of another as its wrong one."""
    ending = "" if split == "test" else f"_{split}"
    names = [f"{index}.png" for index in range(SAMPLES)]
    _write_images(folder / f"images{ending}", names)
    for _, code in pairs:
        texts = _captions(code)
        columns = {
            f"correct.{code}": texts,
            f"incorrect.{code}": [texts[index ^ 1] for index in range(SAMPLES)],
            "img.order": names,
            "src.en": ["A picture of something."] * SAMPLES,
        }
        for name, lines in columns.items():
            _write_lines(folder / f"en-{code}{ending}" / name, lines)


def write_xm3600(folder: Path, split: str, pairs: Sequence[tuple[str, str]]) -> None:
    """Write images of Crossmodal-3600 with one caption per language."""
    keys = [f"{index:016x}" for index in range(SAMPLES)]
    _write_images(folder / "images", [f"{key}.jpg" for key in keys])
    rows: list[dict[str, Any]] = [{"image/key": key} for key in keys]
    for _, code in pairs:
        for row, text in zip(rows, _captions(code), strict=True):
            row[code] = {"caption": [text]}
    _write_lines(folder / "captions.jsonl", [json.dumps(row, ensure_ascii=False) for row in rows])


def write_coco_karpathy(folder: Path, split: str, pairs: Sequence[tuple[str, str]]) -> None:
    """Write entries of COCO in Karpathy's file, beside those of its other splits."""
    names = [_COCO.format(index) for index in range(SAMPLES)]
    _write_images(folder / "val2014", names)
    images = [
        {
            "cocoid": index,
            "filepath": "val2014",
            "filename": name,
            "split": split,
            "sentences": [{"raw": text}],
        }
        for index, (name, text) in enumerate(zip(names, _captions("en"), strict=True))
    ]
    path = folder / "dataset_coco.json"
    known = json.loads(path.read_text(encoding="utf-8"))["images"] if path.exists() else []
    images = [image for image in known if image["split"] != split] + images
    path.write_text(json.dumps({"images": images}), encoding="utf-8")


def write_docci(folder: Path, split: str, pairs: Sequence[tuple[str, str]]) -> None:
    """Write descriptions of DOCCI."""
    names = [f"{split}_{index}.jpg" for index in range(SAMPLES)]
    _write_images(folder / "images", names)
    rows = [
        {
            "example_id": name.removesuffix(".jpg"),
            "split": split,
            "image_file": name,
            "description": text,
        }
        for name, text in zip(names, _captions("en"), strict=True)
    ]
    _write_lines(folder / "docci_descriptions.jsonlines", [json.dumps(row) for row in rows])


def write_image_paragraphs(folder: Path, split: str, pairs: Sequence[tuple[str, str]]) -> None:
    """Write Stanford image paragraphs."""
    _write_images(folder / "VG_100K", [f"{index}.jpg" for index in range(SAMPLES)])
    rows = [
        {
            "image_id": index,
            "paragraph": text,
            "url": f"https://example.org/VG_100K/{index}.jpg",
        }
        for index, text in enumerate(_captions("en"))
    ]
    (folder / "paragraphs_v1.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / f"{split}_split.json").write_text(json.dumps(list(range(SAMPLES))), encoding="utf-8")


def write_folder(folder: Path, split: str, pairs: Sequence[tuple[str, str]]) -> None:
    """Write a folder of your own, with a row for each image and pair."""
    names = [f"{index}.png" for index in range(SAMPLES)]
    _write_images(folder, names)
    rows: list[dict[str, str]] = []
    for task, code in pairs:
        for name, text, source in zip(names, _captions(code), _captions("en"), strict=True):
            row = {"image": name, "text": text, "task": task, "language": code}
            rows.append({**row, "source": source} if task == "translate" else row)
    _write_lines(folder / "captions.jsonl", [json.dumps(row, ensure_ascii=False) for row in rows])


def write_unlabelled(folder: Path, split: str, pairs: Sequence[tuple[str, str]]) -> None:
    """Write a folder of images without texts."""
    _write_images(folder, [f"{index}.png" for index in range(SAMPLES)])


@cache
def _scenes() -> tuple[Any, list[Any]]:
    from .emoji_scenes.world import EmojiWorld

    world = EmojiWorld()
    return world, [world.scene("train", index) for index in range(SAMPLES)]


def _captions(language: str) -> list[str]:
    from .emoji_scenes.wording import PREFIXES

    world, scenes = _scenes()
    # The world has seven languages; for a trial run in another, English will do.
    return [world.caption(scene, language if language in PREFIXES else "en") for scene in scenes]


def _write_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _write_images(folder: Path, names: list[str]) -> None:
    world, scenes = _scenes()
    folder.mkdir(parents=True, exist_ok=True)
    for scene, name in zip(scenes, names, strict=True):
        world.render(scene).save(folder / name)
