"""Datasets in their published layouts end in the same columns, each row with its own image."""

import gzip
from pathlib import Path

import pytest
from PIL import Image


datasets = pytest.importorskip("datasets")

from made_up_datasets import (  # noqa: E402
    COLOURS,
    every_loader,
    paint,
    shown,
    tiny_coco,
    tiny_commute,
    tiny_docci,
    tiny_multi30k,
    tiny_paragraphs,
    tiny_xm3600,
)

from modeling_florenz.data.coco_karpathy import load_coco_karpathy  # noqa: E402
from modeling_florenz.data.columns import COLUMNS  # noqa: E402
from modeling_florenz.data.commute import load_commute  # noqa: E402
from modeling_florenz.data.docci import load_docci  # noqa: E402
from modeling_florenz.data.image_paragraphs import load_image_paragraphs  # noqa: E402
from modeling_florenz.data.multi30k import (  # noqa: E402
    ambiguous_coco_ids,
    load_multi30k_captions,
    load_multi30k_translation,
)
from modeling_florenz.data.xm3600 import load_xm3600  # noqa: E402


# Every made-up folder is smaller than the published dataset.
pytestmark = pytest.mark.filterwarnings("ignore:.*were published")

GREY = (128, 128, 128)


def test_translations_keep_their_image_and_lose_no_break_spaces(tmp_path: Path) -> None:
    rows = load_multi30k_translation(tiny_multi30k(tmp_path), "train", "de")
    assert rows["target"][:] == ["Ein rotes.", "Ein grünes."]
    assert shown(rows) == [COLOURS["red"], COLOURS["green"]]


def test_names_of_ambiguous_coco_lose_the_number_of_the_caption(tmp_path: Path) -> None:
    rows = load_multi30k_translation(tiny_multi30k(tmp_path), "test_2017_mscoco", "fr")
    assert rows["key"][1] == "multi30k-translation/test_2017_mscoco/fr/COCO_val2014_000000000009.jpg"
    assert shown(rows) == [COLOURS["red"], COLOURS["blue"]]


def test_packed_and_plain_files_give_the_same_rows(tmp_path: Path) -> None:
    plain = load_multi30k_translation(tiny_multi30k(tmp_path), "train", "de").remove_columns("image")[:]
    for path in (tmp_path / "data" / "task1" / "raw").glob("train.*"):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert load_multi30k_translation(tmp_path, "train", "de").remove_columns("image")[:] == plain


def test_training_captions_are_a_row_each_and_test_captions_a_row_an_image(tmp_path: Path) -> None:
    folder = tiny_multi30k(tmp_path)
    training, test = (load_multi30k_captions(folder, split, "de") for split in ("train", "test_2016"))
    assert training.num_rows == 10
    assert training[6]["target"] == "Grün 2."
    assert training[6]["references"] == ["Grün 2."]
    assert training[6]["key"] == "multi30k-captions/train/de/2.jpg#2"
    assert shown(training) == [COLOURS["red"]] * 5 + [COLOURS["green"]] * 5
    assert test["references"][:] == [[f"{word} {number}." for number in range(1, 6)] for word in ("Rot", "Grün")]


def test_commute_puts_the_wrong_translation_beside_the_right_one(tmp_path: Path) -> None:
    rows = load_commute(tiny_commute(tmp_path), "ru")
    assert rows["target"][:] == ["Банк. ", "Берег."]
    assert rows["incorrect"][:] == ["Берег.", "Банк."]
    assert rows["key"][:] == ["commute/test/ru/a.jpeg", "commute/test/ru/b.png"]
    assert shown(rows) == [COLOURS["red"], COLOURS["blue"]]


def test_xm3600_finds_its_images(tmp_path: Path) -> None:
    for name, colour in (("d89a4889331ce042", "red"), ("74f94963ee1e135d", "blue")):
        paint(tmp_path / "images" / f"{name}.jpg", colour)
    rows = load_xm3600(tiny_xm3600(tmp_path, ["d89a4889331ce042", "74f94963ee1e135d"]), "es")
    assert shown(rows) == [COLOURS["red"], COLOURS["blue"]]


def test_restval_joins_train_and_ambiguous_images_stay_out(tmp_path: Path) -> None:
    coco = tiny_coco(tmp_path / "coco")
    rows = load_coco_karpathy(coco, "train")
    assert rows["key"][:] == ["coco/7#1", "coco/7#2", "coco/9#1", "coco/9#2"]
    assert rows["target"][:] == ["One 7.", "Two 7.", "One 9.", "Two 9."]
    assert shown(rows) == [COLOURS["red"]] * 2 + [COLOURS["green"]] * 2
    exclude = ambiguous_coco_ids(tiny_multi30k(tmp_path / "multi30k")) - {9}
    assert load_coco_karpathy(coco, "train", exclude=exclude)["key"][:] == ["coco/9#1", "coco/9#2"]
    assert load_coco_karpathy(coco, "test")["references"][:] == [["One 11.", "Two 11."]]


def test_names_in_place_of_ids_are_refused_where_they_would_exclude_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exclude holds 'COCO_train2014_000000000007.jpg': give ids"):
        load_coco_karpathy(tiny_coco(tmp_path), "train", exclude=["COCO_train2014_000000000007.jpg"])


def test_docci_is_more_detailed_and_image_paragraphs_are_detailed(tmp_path: Path) -> None:
    docci = load_docci(tiny_docci(tmp_path / "docci"), "train")
    assert docci["task"][:] == ["more_detailed_caption"]
    assert docci["target"][:] == ["A train."]
    assert docci["key"][:] == ["docci/train_00000"]
    assert shown(docci) == [COLOURS["red"]]
    paragraphs = load_image_paragraphs(tiny_paragraphs(tmp_path / "paragraphs"), "train")
    assert paragraphs["task"][:] == ["detailed_caption"] * 2
    assert paragraphs["target"][:] == ["Six.", "Five. And more."]
    assert shown(paragraphs) == [COLOURS["blue"], COLOURS["red"]]


def test_broken_images_fail_on_access_and_not_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaders = every_loader(tmp_path)
    for path in tmp_path.rglob("*"):
        if path.suffix in (".jpg", ".jpeg", ".png"):
            path.write_bytes(b"no picture")
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", lambda *given, **named: pytest.fail("an image was opened"))
        loaded = {name: load() for name, load in loaders.items()}
    for rows in loaded.values():
        with pytest.raises(ValueError, match=f"^{tmp_path}.* is not an image that can be read"):
            rows[0]


def test_missing_images_are_grey_only_where_that_was_asked_for(tmp_path: Path) -> None:
    loaders = every_loader(tmp_path)
    assert GREY not in [pixel for load in loaders.values() for pixel in shown(load(stand_in=True))]
    for path in tmp_path.rglob("*"):
        if path.suffix in (".jpg", ".jpeg", ".png"):
            path.unlink()
    for load in loaders.values():
        with pytest.raises(ValueError, match="does not exist: put it there, or pass stand_in=True") as found:
            load()
        assert str(tmp_path) in str(found.value)
        assert set(shown(load(stand_in=True))) == {GREY}


def test_all_datasets_share_their_columns_and_feed_a_training_batch(tmp_path: Path) -> None:
    from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
    from modeling_florenz.processing_florenz import FlorenzProcessor
    from modeling_florenz.training.training_data import TrainingCollator

    loaded = {name: load() for name, load in every_loader(tmp_path).items()}
    commute = loaded.pop("commute")
    assert set(commute.column_names) == {*COLUMNS, "incorrect"}
    assert all(rows.features == COLUMNS for rows in loaded.values())
    rows = datasets.concatenate_datasets([*loaded.values(), commute.remove_columns("incorrect")])
    assert len(set(rows["key"][:])) == rows.num_rows
    batch = TrainingCollator(FlorenzProcessor.from_pretrained(BUNDLED_MODEL))(list(rows))
    assert len(batch["pixel_values"]) == len(batch["labels"]) == rows.num_rows
