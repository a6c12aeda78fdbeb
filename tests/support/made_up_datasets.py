"""Write small datasets in the layouts of the published ones, and load them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image


datasets = pytest.importorskip("datasets")

from modeling_florenz.data.coco_karpathy import load_coco_karpathy  # noqa: E402
from modeling_florenz.data.commute import load_commute  # noqa: E402
from modeling_florenz.data.docci import load_docci  # noqa: E402
from modeling_florenz.data.folder import load_folder  # noqa: E402
from modeling_florenz.data.image_paragraphs import load_image_paragraphs  # noqa: E402
from modeling_florenz.data.multi30k import (  # noqa: E402
    load_multi30k_captions,
    load_multi30k_translation,
)
from modeling_florenz.data.xm3600 import load_xm3600  # noqa: E402


COLOURS = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255)}


def paint(path: Path, colour: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), colour).save(path, "PNG")


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def shown(rows: datasets.Dataset) -> list[tuple[int, int, int]]:
    return [row["image"].convert("RGB").getpixel((0, 0)) for row in rows]


def tiny_multi30k(folder: Path) -> Path:
    task1, task2 = folder / "data" / "task1", folder / "data" / "task2"
    write(task1 / "raw" / "train.en", "A red one.", "A green one.")
    write(task1 / "raw" / "train.de", " Ein\xa0rotes. ", "Ein grünes.")
    write(task1 / "image_splits" / "train.txt", "1.jpg", "2.jpg")
    write(task1 / "raw" / "test_2017_mscoco.en", "A red one.", "A blue one.")
    write(task1 / "raw" / "test_2017_mscoco.fr", "Un rouge.", "Un bleu.")
    names = ("COCO_train2014_000000000007.jpg", "COCO_val2014_000000000009.jpg")
    write(task1 / "image_splits" / "test_2017_mscoco.txt", f"{names[0]}#12", f"{names[1]}#13")
    for split, list_name in (("train", "train"), ("test_2016", "test_2016")):
        write(task2 / "image_splits" / f"{list_name}_images.txt", "1.jpg", "2.jpg")
        for number in range(1, 6):
            write(task2 / "raw" / f"{split}.{number}.de", f"Rot {number}.", f"Grün {number}.")
    paint(folder / "images" / "flickr30k-images" / "1.jpg", "red")
    paint(folder / "images" / "2.jpg", "green")
    paint(folder / "images" / "train2014" / names[0], "red")
    paint(folder / "images" / "val2014" / names[1], "blue")
    return folder


def tiny_commute(folder: Path) -> Path:
    texts = folder / "en-ru"
    write(texts / "src.en", "The bank.", "The bank.")
    write(texts / "correct.ru", "Банк. ", "Берег.")
    write(texts / "incorrect.ru", "Берег.", "Банк.")
    write(texts / "img.order", "a.jpeg", "b.png")
    paint(folder / "images" / "a.jpeg", "red")
    paint(folder / "images" / "b.png", "blue")
    return folder


def tiny_xm3600(folder: Path, ids: list[str]) -> Path:
    lines = []
    for name in ids:
        captions = {
            "caption": [f"Uno {name}. ", f"Dos {name}."],
            "caption/tokenized": [],
            "caption/tokenized/lowercase": [],
        }
        lines.append(json.dumps({"image/key": name, "image/locale": "quz", "es": captions}))
    write(folder / "captions.jsonl", *lines)
    return folder


def coco_entry(number: int, split: str, half: str = "train2014") -> dict:
    return {
        "filepath": half,
        "filename": f"COCO_{half}_{number:012}.jpg",
        "split": split,
        "cocoid": number,
        "sentences": [{"raw": f"One\n{number}. "}, {"raw": f"Two {number}."}],
    }


def tiny_coco(folder: Path) -> Path:
    entries = [coco_entry(7, "train"), coco_entry(9, "restval", "val2014"), coco_entry(11, "test", "val2014")]
    write(folder / "dataset_coco.json", json.dumps({"images": entries, "dataset": "coco"}))
    for entry, colour in zip(entries, COLOURS, strict=True):
        paint(folder / entry["filepath"] / entry["filename"], colour)
    return folder


def tiny_docci(folder: Path) -> Path:
    records = [
        {
            "example_id": f"{split}_00000",
            "split": split,
            "image_file": f"{split}_00000.jpg",
            "description": f"A\n{split}.",
        }
        for split in ("train", "test")
    ]
    write(folder / "docci_descriptions.jsonlines", *map(json.dumps, records))
    paint(folder / "images" / "train_00000.jpg", "red")
    paint(folder / "images" / "test_00000.jpg", "blue")
    return folder


def tiny_paragraphs(folder: Path) -> Path:
    entries = [
        {"image_id": number, "url": f"https://cs.stanford.edu/people/rak248/{half}/{number}.jpg", "paragraph": text}
        for number, half, text in (
            (5, "VG_100K", "Five.  And more."),
            (6, "VG_100K_2", "Six."),
            (5, "VG_100K", "Five again."),
        )
    ]
    write(folder / "paragraphs_v1.json", json.dumps(entries))
    write(folder / "train_split.json", "[6, 5]")
    paint(folder / "VG_100K" / "5.jpg", "red")
    paint(folder / "VG_100K_2" / "6.jpg", "blue")
    return folder


def tiny_folder(folder: Path) -> Path:
    paint(folder / "a.png", "red")
    paint(folder / "more" / "b.png", "blue")
    write(
        folder / "captions.jsonl",
        '{"image": "a.png", "text": " Rot. "}',
        '{"file_name": "more/b.png", "caption": "Bleu.", "language": "fr", "source": "Blue.", "task": "translate"}',
    )
    return folder


def every_loader(folder: Path) -> dict[str, Callable[..., datasets.Dataset]]:
    tiny_multi30k(folder / "multi30k")
    tiny_commute(folder / "commute")
    tiny_xm3600(folder / "xm3600", ["d89a4889331ce042"])
    tiny_coco(folder / "coco")
    tiny_docci(folder / "docci")
    tiny_paragraphs(folder / "paragraphs")
    tiny_folder(folder / "folder")
    paint(folder / "xm3600" / "images" / "d89a4889331ce042.jpg", "red")
    return {
        "multi30k": lambda **given: load_multi30k_translation(folder / "multi30k", "train", "de", **given),
        "captions": lambda **given: load_multi30k_captions(folder / "multi30k", "train", "de", **given),
        "commute": lambda **given: load_commute(folder / "commute", "ru", **given),
        "xm3600": lambda **given: load_xm3600(folder / "xm3600", "es", **given),
        "coco": lambda **given: load_coco_karpathy(folder / "coco", "train", **given),
        "docci": lambda **given: load_docci(folder / "docci", "train", **given),
        "paragraphs": lambda **given: load_image_paragraphs(folder / "paragraphs", "train", **given),
        "folder": lambda **given: load_folder(folder / "folder", "caption", "de", **given),
    }
