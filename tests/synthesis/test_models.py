"""Models of the real classes, tiny and random, describe, translate and embed; a run over photos trains a model."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from synthesis_models import clip_folder, llava_next_folder, nllb_folder, siglip_folder

from modeling_florenz.cli import main
from modeling_florenz.synthesis.describe import DescribeImages
from modeling_florenz.synthesis.embed import ContrastiveEmbedder
from modeling_florenz.synthesis.recipe import Describe, Filters, Translate
from modeling_florenz.synthesis.translate import TranslateTexts


SHARED = Path(__file__).parents[3] / "shared" / "data"
PHOTOS, BITEXTS = SHARED / "photos", SHARED / "multi30k" / "task1"


def _images(folder: Path, count: int) -> list[dict]:
    rows = []
    for number in range(count):
        path = folder / f"{number}.png"
        Image.linear_gradient("L").rotate(30 * number).convert("RGB").resize((60 + 9 * number, 50)).save(path)
        rows.append({"key": str(number), "name": str(path), "bytes": path.read_bytes()})
    return rows


def test_a_llava_next_describes_images_alike_alone_and_in_a_batch(tmp_path: Path) -> None:
    model, rows = str(llava_next_folder(tmp_path / "llava")), _images(tmp_path, 3)
    alone, together = (
        DescribeImages(Describe(model, max_new_tokens=6, batch_size=size), Filters()).make(rows, rows)
        for size in (1, 3)
    )
    assert [row["key"] for row in alone.rows] == ["0", "1", "2"]
    assert alone.rows == together.rows
    assert not any("image shows" in row["text"].lower() for row in alone.rows)


def test_an_nllb_translates_descriptions_and_captions_with_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = TranslateTexts(
        Translate(str(nllb_folder(tmp_path / "nllb")), ["de", "zh"], num_beams=2, max_length=8, max_description=8),
        {"a.jpg": ["A dog."]},
    )
    made = step.make([{"key": "k", "text": "A brown dog runs. It is fast."}], [{"key": "k", "name": "photos/a.jpg"}])
    english = [row for row in made.rows if row["language"] == "en"]
    assert [(row["kind"], row["target"]) for row in english] == [
        ("description", "A brown dog runs. It is fast."),
        ("caption", "A dog."),
    ]
    assert len(made.rows) - 2 + len(made.skipped) == 4
    for row in made.rows[2:]:
        assert row["target"].endswith("。" if row["language"] == "zh" else ".") or row["target"][-1] in "!?"

    asked: list[str] = []
    answers = {
        "A dog. ### (It is fast.)": "Ein Hund ohne Trenner",
        "A dog.": "Ein Hund",
        "It is fast.": "Es ist schnell",
    }
    monkeypatch.setattr(
        TranslateTexts, "_translate", lambda self, texts, *rest: asked.extend(texts) or [answers[t] for t in texts]
    )
    made = step.make([{"key": "k", "text": "It is fast."}], [{"key": "k", "name": "a.jpg"}])
    assert asked[:3] == ["It is fast.", "A dog. ### (It is fast.)", "A dog."]  # the separator was lost
    assert [row["target"] for row in made.rows if row["language"] == "de"] == ["Es ist schnell.", "Ein Hund."]


def test_a_translator_of_another_kind_is_refused(tmp_path: Path) -> None:
    step = TranslateTexts(Translate(str(clip_folder(tmp_path / "clip")), ["de"]))
    with pytest.raises(ValueError, match="could not be read"):
        step.make([{"key": "k", "text": "A dog."}], [{"key": "k", "name": "a.jpg"}])


@pytest.mark.parametrize("model", [clip_folder, siglip_folder])
def test_images_and_texts_of_any_length_are_embedded_alike_in_any_batch(
    model: Callable[[Path], Path], tmp_path: Path
) -> None:
    folder, rows = model(tmp_path / "model"), _images(tmp_path, 3)
    one, three = (ContrastiveEmbedder(str(folder), size) for size in (1, 3))
    assert np.allclose(one.images(rows), three.images(rows), atol=1e-5)
    texts = ["a dog", "a cat on a mat and a very long way to say so " * 5, "x"]
    assert np.allclose(one.texts(texts), three.texts(texts), atol=1e-5)
    assert np.allclose(np.linalg.norm(one.texts(texts), axis=1), 1)
    assert one.images(rows).shape == one.texts(texts).shape == (3, 16)


@pytest.mark.slow
@pytest.mark.skipif(not PHOTOS.is_dir(), reason="../shared holds no photos")
def test_photos_become_data_that_florenz_train_reads(tmp_path: Path) -> None:
    for language in ("en", "de", "fr"):
        with gzip.open(BITEXTS / f"val.{language}.gz", "rt", encoding="utf-8") as file:
            (tmp_path / f"val.{language}").write_text("".join(file), encoding="utf-8")
    translations = {language: str(tmp_path / f"val.{language}") for language in ("de", "fr")}
    bitexts = {
        "source": "Multi30K",
        "license": "other",
        "english": str(tmp_path / "val.en"),
        "translations": translations,
    }
    changes = {
        "images": {"paths": [str(PHOTOS)], "source": "shared photos", "license": "CC0"},
        "bitexts": [bitexts],
        "describe": {"model": str(llava_next_folder(tmp_path / "llava")), "max_new_tokens": 8},
        "translate": {"model": str(nllb_folder(tmp_path / "nllb")), "languages": ["de"], "max_description": 10},
        "match": {"model": str(clip_folder(tmp_path / "clip")), "top": 3, "threshold": -1, "cap": 10},
        "filter": {"min_characters": 1},
    }
    arguments = [word for name, value in changes.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    folder = tmp_path / "photos"
    assert main(["synthesize", "photos", "--output", str(folder), *arguments]) in (0, 1)
    groups = json.loads((folder / "statistics.json").read_text())["groups"]
    assert groups["translate/de"]["rows"] > 20 and groups["translate/fr"]["rows"] > 20
    recipe = tmp_path / "recipe.yaml"
    columns = "{task: task, language: language, source: source, target: target}"
    recipe.write_text(
        "model: florenz-tiny\nmethod: full\nmax_steps: 2\nuse_cpu: true\nper_device_train_batch_size: 2\nbf16: false\n"
        f"data_folder: {tmp_path}\noutput_dir: {tmp_path / 'run'}\nmax_target_length: 32\n"
        f"train_data:\n  - {{dataset: hub, folder: photos, languages: [de, fr], columns: {columns}}}\n"
    )
    assert main(["train", str(recipe)]) == 0
