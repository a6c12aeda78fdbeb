"""Make a recipe a trial run of two steps: the bundled checkpoint, made-up data in each dataset's own files."""

import json
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..configuration_florenz import FlorenzConfig
from ..data.emoji_scenes.world import EmojiWorld
from ..inference.captioner import BUNDLED_MODEL, BUNDLED_NAME
from ..modeling_florenz import FlorenzForConditionalGeneration
from ..processing_florenz import FlorenzProcessor
from .mixture import PAPER_SHARES
from .recipe import parse_recipe


_SCENES = 6
_COCO = "COCO_val2014_{:012d}.jpg"


def smoke_values(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Change a recipe into its trial run and write the data it reads.

    What is kept: the method, the parts, the data formats, shares, grounding and rehearsal. What is not: the model,
    sizes and lengths, mixed precision, and the number of steps.
    """
    warnings.filterwarnings("ignore", message=".* results on it compare with no others")
    recipe, _ = parse_recipe({**values, "output_dir": str(folder / "run"), "bf16": False, "fp16": False})
    for source in (*recipe.train_data, *recipe.eval_data):
        if source.dataset != "emoji_scenes":
            place = folder / "data" / source.folder
            if source.dataset == "folder":
                _folder(place, PAPER_SHARES.get(str(recipe.shares), PAPER_SHARES["generalist_finetune"]))
            else:
                _WRITERS[source.dataset](place, source.languages, source.split)
    small = {
        "model": _narrow_model(folder / "model") if recipe.method == "qlora" else BUNDLED_NAME,
        "revision": None,
        "base_id": None,
        "output_dir": str(folder / "run"),
        "data_folder": str(folder / "data"),
        "image_size": None,
        "max_prompt_length": None,
        "max_target_length": 48,
        "rehearsal_examples": 8,
        "max_steps": 2,
        "per_device_train_batch_size": 2,
        "per_device_eval_batch_size": 4,
        "gradient_accumulation_steps": 1,
        "warmup_steps": 0,
        "eval_steps": 1,
        "save_steps": 1,
        "logging_steps": 1,
        "dataloader_num_workers": 0,
        "bf16": False,
        "fp16": False,
        "fsdp": None,
        "use_cpu": True,
        "disable_tqdm": True,
    }
    return {**values, **small}


def _narrow_model(folder: Path) -> str:
    # florenz-tiny is 160 wide, and 4-bit kernels want multiples of 64: a random model of 128 stands in.
    settings = json.loads((BUNDLED_MODEL / "config.json").read_text(encoding="utf-8"))
    settings["vision_config"]["projection_dim"] = 128
    settings["encoder_config"] |= {"d_model": 128, "encoder_attention_heads": 4, "encoder_ffn_dim": 128}
    settings["text_config"] |= {"hidden_size": 128, "intermediate_size": 128, "num_attention_heads": 4}
    settings["text_config"] |= {"num_key_value_heads": 4}
    FlorenzForConditionalGeneration(FlorenzConfig.from_dict(settings)).save_pretrained(folder)
    FlorenzProcessor.from_pretrained(BUNDLED_MODEL).save_pretrained(folder)
    return str(folder)


def _scenes() -> list[tuple[Any, dict[str, str]]]:
    world = EmojiWorld()
    scenes = [world.scene("train", index) for index in range(_SCENES)]
    languages = ("en", "de", "fr", "es", "ru", "zh")
    return [(world.render(scene), {code: world.caption(scene, code) for code in languages}) for scene in scenes]


def _write_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _write_images(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for (image, _), name in zip(_scenes(), names, strict=True):
        image.save(folder / name)


def _multi30k(folder: Path, languages: list[str], split: str) -> None:
    names = [f"{index}.jpg" for index in range(_SCENES)]
    texts = [text for _, text in _scenes()]
    _write_images(folder / "images", names)
    for task, ending in (("task1", ""), ("task2", "_images")):
        _write_lines(folder / "data" / task / "image_splits" / f"{split}{ending}.txt", names)
    for code in ("en", *languages):
        lines = [text[code] for text in texts]
        _write_lines(folder / "data" / "task1" / "raw" / f"{split}.{code}", lines)
        for number in range(1, 6):
            _write_lines(folder / "data" / "task2" / "raw" / f"{split}.{number}.{code}", lines)
    ambiguous = folder / "data" / "task1" / "image_splits" / "test_2017_mscoco.txt"
    _write_lines(ambiguous, [f"{_COCO.format(0)}#1"])


def _commute(folder: Path, languages: list[str], split: str) -> None:
    ending = "" if split == "test" else f"_{split}"
    names = [f"{index}.png" for index in range(_SCENES)]
    _write_images(folder / f"images{ending}", names)
    for code in languages:
        texts = [text[code] for _, text in _scenes()]
        turned = [texts[index ^ 1] for index in range(_SCENES)]
        columns = {f"correct.{code}": texts, f"incorrect.{code}": turned, "img.order": names}
        columns["src.en"] = ["A picture of something."] * _SCENES
        for name, lines in columns.items():
            _write_lines(folder / f"en-{code}{ending}" / name, lines)


def _coco_karpathy(folder: Path, languages: list[str], split: str) -> None:
    names = [_COCO.format(index) for index in range(_SCENES)]
    _write_images(folder / "val2014", names)
    images = [
        {
            "cocoid": index,
            "filepath": "val2014",
            "filename": name,
            "split": split,
            "sentences": [{"raw": text["en"]}],
        }
        for index, (name, (_, text)) in enumerate(zip(names, _scenes(), strict=True))
    ]
    path = folder / "dataset_coco.json"
    known = json.loads(path.read_text(encoding="utf-8"))["images"] if path.exists() else []
    images = [image for image in known if image["split"] != split] + images
    path.write_text(json.dumps({"images": images}), encoding="utf-8")


def _docci(folder: Path, languages: list[str], split: str) -> None:
    names = [f"{split}_{index}.jpg" for index in range(_SCENES)]
    _write_images(folder / "images", names)
    rows = [
        {"example_id": name.removesuffix(".jpg"), "split": split, "image_file": name, "description": text["en"]}
        for name, (_, text) in zip(names, _scenes(), strict=True)
    ]
    _write_lines(folder / "docci_descriptions.jsonlines", [json.dumps(row) for row in rows])


def _image_paragraphs(folder: Path, languages: list[str], split: str) -> None:
    _write_images(folder / "VG_100K", [f"{index}.jpg" for index in range(_SCENES)])
    rows = [
        {"image_id": index, "paragraph": text["en"], "url": f"https://example.org/VG_100K/{index}.jpg"}
        for index, (_, text) in enumerate(_scenes())
    ]
    (folder / "paragraphs_v1.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / f"{split}_split.json").write_text(json.dumps(list(range(_SCENES))), encoding="utf-8")


def _folder(folder: Path, pairs: Iterable[str]) -> None:
    names = [f"{index}.png" for index in range(_SCENES)]
    _write_images(folder, names)
    rows = []
    for name, (_, text) in zip(names, _scenes(), strict=True):
        for task, code in (pair.split("/") for pair in pairs):
            row = {"image": name, "text": text[code], "task": task, "language": code}
            rows.append({**row, "source": text["en"]} if task == "translate" else row)
    _write_lines(folder / "captions.jsonl", [json.dumps(row, ensure_ascii=False) for row in rows])


_WRITERS = {
    "multi30k_translation": _multi30k,
    "multi30k_captions": _multi30k,
    "commute": _commute,
    "coco_karpathy": _coco_karpathy,
    "docci": _docci,
    "image_paragraphs": _image_paragraphs,
}
