"""The real text of the published datasets is complete, clean and in order."""

import gzip
import json
import warnings
from pathlib import Path

import pytest


pytest.importorskip("datasets")

from made_up_datasets import tiny_xm3600, write  # noqa: E402

from modeling_florenz.data.coco_karpathy import load_coco_karpathy  # noqa: E402
from modeling_florenz.data.columns import COLUMNS  # noqa: E402
from modeling_florenz.data.commute import load_commute  # noqa: E402
from modeling_florenz.data.multi30k import (  # noqa: E402
    ambiguous_coco_ids,
    load_multi30k_captions,
    load_multi30k_translation,
)
from modeling_florenz.data.xm3600 import load_xm3600  # noqa: E402


# Every made-up folder is smaller than the published dataset.
pytestmark = pytest.mark.filterwarnings("ignore:.*were published")

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"


needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real texts are not at {REAL}")


@pytest.fixture(scope="module")
def multi30k(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay the real files out as their repository does."""
    if not REAL.is_dir():
        pytest.skip(f"the real texts are not at {REAL}")
    folder = tmp_path_factory.mktemp("multi30k")
    for task in ("task1", "task2"):
        (folder / "data" / task / "image_splits").mkdir(parents=True)
        (folder / "data" / task / "raw").symlink_to(REAL / "multi30k" / task)
    for path in (REAL / "multi30k" / "image_splits").iterdir():
        task = "task2" if path.name.startswith("task2_") else "task1"
        (folder / "data" / task / "image_splits" / path.name.removeprefix("task2_")).symlink_to(path)
    return folder


@needs_real
@pytest.mark.parametrize(
    ("split", "language", "count"),
    [
        ("train", "de", 29_000),
        ("val", "fr", 1_014),
        ("test_2016_flickr", "de", 1_000),
        ("test_2016_flickr", "fr", 1_000),
        ("test_2017_flickr", "de", 1_000),
        ("test_2017_mscoco", "fr", 461),
    ],
)
def test_real_translations_are_complete_clean_and_in_order(
    split: str, language: str, count: int, multi30k: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = load_multi30k_translation(multi30k, split, language, stand_in=True)
    assert rows.num_rows == count
    assert rows.features == COLUMNS
    sources, targets, keys = rows["source"][:], rows["target"][:], rows["key"][:]
    assert not any("\xa0" in text or text != text.strip() for text in (*sources, *targets))
    raw = gzip.decompress((multi30k / "data" / "task1" / "raw" / f"{split}.en.gz").read_bytes()).decode()
    names = (multi30k / "data" / "task1" / "image_splits" / f"{split}.txt").read_text().split()
    assert sources == raw.strip("\n").split("\n")
    assert keys == [f"multi30k-translation/{split}/{language}/{name.split('#')[0]}" for name in names]
    assert set(rows["language"][:]) == {language}
    assert set(rows["task"][:]) == {"translate"}
    assert rows["references"][:] == [[target] for target in targets]


@needs_real
@pytest.mark.parametrize(
    ("split", "task1_split", "count"), [("test_2016", "test_2016_flickr", 1_000), ("val", "val", 1_014)]
)
def test_each_real_english_sentence_is_among_the_five_captions_of_its_image(
    split: str, task1_split: str, count: int, multi30k: Path
) -> None:
    captions = load_multi30k_captions(multi30k, split, "en", stand_in=True)
    sentences = load_multi30k_translation(multi30k, task1_split, "de", stand_in=True)["source"][:]
    references = captions["references"][:]
    assert captions.num_rows == count
    assert {len(texts) for texts in references} == {5}
    assert captions["target"][:] == [texts[0] for texts in references]
    assert all(sentence in texts for sentence, texts in zip(sentences, references, strict=True))
    # One image further and they hardly ever are.
    assert sum(sentence in texts for sentence, texts in zip(sentences, references[1:], strict=False)) < count / 100


@needs_real
def test_real_german_captions_are_complete(multi30k: Path) -> None:
    rows = load_multi30k_captions(multi30k, "test_2016", "de", stand_in=True)
    assert (rows.num_rows, len(set(rows["key"][:]))) == (1_000, 1_000)
    assert set(rows["source"][:]) == {""}


@needs_real
def test_ambiguous_coco_has_461_images(multi30k: Path) -> None:
    ids = ambiguous_coco_ids(multi30k)
    assert len(ids) == 461
    assert {117071, 398076} <= ids


@needs_real
@pytest.mark.parametrize(("language", "split", "count"), [("de", "test", 300), ("zh", "test", 324), ("fr", "dev", 60)])
def test_real_commute_is_complete_and_its_pairs_swap(language: str, split: str, count: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = load_commute(REAL / "commute", language, split, stand_in=True)
    assert rows.num_rows == count
    right, wrong, source = rows["target"][:], rows["incorrect"][:], rows["source"][:]
    assert source[::2] == source[1::2]
    assert (right[::2], right[1::2]) == (wrong[1::2], wrong[::2])
    assert right != wrong


@needs_real
def test_commute_keeps_the_blanks_that_published_accuracies_were_computed_with() -> None:
    assert load_commute(REAL / "commute", "de", stand_in=True)[228]["source"] == "I dropped the cap. "


@needs_real
def test_the_real_karpathy_record_loads(tmp_path: Path) -> None:
    content = json.loads((REAL / "coco" / "dataset_coco.one_record.json").read_text())
    write(tmp_path / "dataset_coco.json", json.dumps(content))
    row = load_coco_karpathy(tmp_path, "test", stand_in=True)[0]
    assert row["key"] == "coco/391895"
    assert len(row["references"]) == 5
    assert row["target"] == "A man with a red helmet on a small moped on a dirt road."


def test_all_3600_images_of_xm3600_load_without_a_warning(tmp_path: Path) -> None:
    path = REAL / "xm3600" / "image_ids.txt"
    ids = path.read_text().split() if path.exists() else [f"{number:016x}" for number in range(3_600)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = load_xm3600(tiny_xm3600(tmp_path, ids), "es", stand_in=True)
    assert rows["key"][:] == [f"xm3600/es/{name}" for name in ids]
    assert rows[7]["references"] == [f"Uno {ids[7]}.", f"Dos {ids[7]}."]
