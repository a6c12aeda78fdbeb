"""Datasets as published, real text and made-up folders alike, end in the same columns, or in one sentence why not."""

import gzip
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image


datasets = pytest.importorskip("datasets")

from modeling_florenz.data.coco_karpathy import load_coco_karpathy  # noqa: E402
from modeling_florenz.data.columns import COLUMNS, Row, build_dataset  # noqa: E402
from modeling_florenz.data.commute import load_commute  # noqa: E402
from modeling_florenz.data.docci import load_docci  # noqa: E402
from modeling_florenz.data.folder import load_folder  # noqa: E402
from modeling_florenz.data.image_paragraphs import load_image_paragraphs  # noqa: E402
from modeling_florenz.data.multi30k import (  # noqa: E402
    ambiguous_coco_ids,
    load_multi30k_captions,
    load_multi30k_translation,
)
from modeling_florenz.data.xm3600 import load_xm3600  # noqa: E402


REAL = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real texts are not at {REAL}")
# Every made-up folder is smaller than the published dataset.
pytestmark = pytest.mark.filterwarnings("ignore:.*were published")

COLOURS = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255)}
GREY = (128, 128, 128)


def paint(path: Path, colour: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), colour).save(path, "PNG")


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def shown(rows: datasets.Dataset) -> list[tuple[int, int, int]]:
    return [row["image"].convert("RGB").getpixel((0, 0)) for row in rows]


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


# The real texts


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


# Made-up folders in the published layouts


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


def test_rows_of_a_file_say_their_own_language_source_and_task(tmp_path: Path) -> None:
    rows = load_folder(tiny_folder(tmp_path), task="caption", language="de")
    assert rows["task"][:] == ["caption", "translate"]
    assert rows["language"][:] == ["de", "fr"]
    assert rows["source"][:] == ["", "Blue."]
    assert rows["target"][:] == ["Rot.", "Bleu."]
    assert rows["key"][:] == ["a.png#1", "more/b.png#2"]
    assert shown(rows) == [COLOURS["red"], COLOURS["blue"]]


def test_csv_and_json_lines_of_the_same_captions_give_the_same_rows(tmp_path: Path) -> None:
    expected = load_folder(tiny_folder(tmp_path), "caption", "de").remove_columns("image")[:]
    (tmp_path / "captions.jsonl").unlink()
    write(
        tmp_path / "captions.csv",
        "file_name,caption,language,source,task",
        'a.png," Rot. ",,,',
        "more/b.png,Bleu.,fr,Blue.,translate",
    )
    assert load_folder(tmp_path, "caption", "de").remove_columns("image")[:] == expected


def test_a_cell_may_hold_commas_and_lines(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", "red")
    write(tmp_path / "captions.csv", "image,text", '"a.png","Rot, sehr rot.', 'Wirklich."')
    assert load_folder(tmp_path, "caption", "de")["target"][:] == ["Rot, sehr rot.\nWirklich."]


def test_a_text_file_beside_each_image_is_enough(tmp_path: Path) -> None:
    for name in ("b", "a"):
        paint(tmp_path / f"{name}.png", "red")
        write(tmp_path / f"{name}.txt", f"{name}!")
    rows = load_folder(tmp_path, "detailed_caption", "zh")
    assert rows["key"][:] == ["a.png", "b.png"]
    assert rows["target"][:] == ["a!", "b!"]


# Images


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


# What is broken


def replace_line(path: Path, number: int, line: str) -> None:
    lines = path.read_text(encoding="utf-8").split("\n")
    lines[number - 1] = line
    path.write_text("\n".join(lines), encoding="utf-8")


def cut_gz(path: Path) -> None:
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes())[:-9])
    path.unlink()


RAW, SPLITS = "multi30k/data/task1/raw/", "multi30k/data/task1/image_splits/"
BROKEN = [
    ("multi30k", RAW + "train.en", Path.unlink, "train.en does not exist: put the published file there"),
    ("multi30k", SPLITS + "train.txt", Path.unlink, "train.txt does not exist"),
    (
        "multi30k",
        SPLITS + "train.txt",
        lambda path: write(path, "1.jpg"),
        "train.txt has 1 lines, but .*train.de has 2: their lines must correspond",
    ),
    ("multi30k", RAW + "train.de", lambda path: replace_line(path, 2, " "), "train.de line 2 is empty"),
    ("multi30k", RAW + "train.de", lambda path: path.write_bytes(b"a\n\xff\n"), "train.de line 2 is not UTF-8"),
    ("multi30k", RAW + "train.de", cut_gz, "train.de.gz could not be read .*: download the file again"),
    ("multi30k", RAW + "train.de", lambda path: write(path.with_name("train.de")), "train.en has 2 lines, but"),
    (
        "multi30k",
        SPLITS + "train.txt",
        lambda path: replace_line(path, 2, "1.jpg"),
        "line 2: the key .*1.jpg is also in",
    ),
    (
        "multi30k",
        SPLITS + "train.txt",
        lambda path: replace_line(path, 2, "../2.jpg"),
        "line 2: the image '../2.jpg' is",
    ),
    ("captions", "multi30k/data/task2/raw/train.4.de", lambda path: replace_line(path, 1, ""), "train.4.de line 1 is"),
    ("commute", "commute/en-ru/img.order", lambda path: write(path, "a.jpeg"), "img.order has 1 lines, but"),
    ("commute", "commute/en-ru/incorrect.ru", Path.unlink, "incorrect.ru does not exist"),
    ("xm3600", "xm3600/captions.jsonl", lambda path: write(path, '{"image/key"'), "captions.jsonl line 1 is not JSON"),
    (
        "xm3600",
        "xm3600/captions.jsonl",
        lambda path: write(path, '{"image/key": "a", "de": {}}'),
        "line 1 needs 'es' as an object, not None",
    ),
    (
        "xm3600",
        "xm3600/captions.jsonl",
        lambda path: write(path, '{"image/key": "a", "es": {"caption": []}}'),
        "line 1: there are no texts",
    ),
    (
        "xm3600",
        "xm3600/captions.jsonl",
        lambda path: write(path, '{"image/key": "a", "es": {"caption": ["\\ud83d"]}}'),
        "line 1: a text holds half a character",
    ),
    (
        "xm3600",
        "xm3600/captions.jsonl",
        lambda path: write(path, '{"image/key": "a", "es": {"caption": [5]}}'),
        "line 1 has a caption in es that is not a text",
    ),
    (
        "xm3600",
        "xm3600/captions.jsonl",
        lambda path: write(path),
        "captions.jsonl holds no rows of what was asked for",
    ),
    ("coco", "coco/dataset_coco.json", lambda path: write(path, "[" * 100_000), "dataset_coco.json is not JSON"),
    ("coco", "coco/dataset_coco.json", lambda path: write(path, "[]"), "dataset_coco.json needs 'images' as a list"),
    (
        "coco",
        "coco/dataset_coco.json",
        lambda path: path.write_text(path.read_text().replace('"cocoid": 9', '"cocoid": "9"')),
        "dataset_coco.json image 2 needs 'cocoid' as a whole number, not '9'",
    ),
    (
        "coco",
        "coco/dataset_coco.json",
        lambda path: path.write_text(path.read_text().replace('"filepath": "val2014"', '"filepath": "/etc"')),
        "image 2: the image '/etc/COCO_val2014_000000000009.jpg' is not inside",
    ),
    (
        "docci",
        "docci/docci_descriptions.jsonlines",
        lambda path: path.write_text(path.read_text().replace("description", "caption")),
        "docci_descriptions.jsonlines line 1 needs 'description' as a text",
    ),
    ("paragraphs", "paragraphs/train_split.json", lambda path: write(path, "[4]"), "names the image 4, which"),
    ("paragraphs", "paragraphs/train_split.json", lambda path: write(path, "{}"), "is not a list of image numbers"),
    (
        "paragraphs",
        "paragraphs/paragraphs_v1.json",
        lambda path: path.write_text(path.read_text().replace("VG_100K/5.jpg", "VG_100K/../5.jpg")),
        "entry 1: the url .* does not end like VG_100K/1.jpg",
    ),
    (
        "folder",
        "folder/captions.jsonl",
        lambda path: replace_line(path, 1, '{"image": "a.png", "text": "A", "lang": "fr"}'),
        "captions.jsonl line 1 has the column 'lang': only image, file_name,",
    ),
    (
        "folder",
        "folder/captions.jsonl",
        lambda path: replace_line(path, 1, '{"image": "a.png", "text": "A", "language": "ge"}'),
        "captions.jsonl line 1: the language 'ge' is not an ISO 639-1 code",
    ),
    (
        "folder",
        "folder/captions.jsonl",
        lambda path: replace_line(path, 1, '{"image": "a.png", "text": "A", "task": "vqa"}'),
        "captions.jsonl line 1: task must be one of caption, .*, not 'vqa'",
    ),
    (
        "folder",
        "folder/captions.jsonl",
        lambda path: replace_line(path, 1, '{"image": "a.png", "text": "A", "source": "B"}'),
        "captions.jsonl line 1: the task caption takes no source",
    ),
    (
        "folder",
        "folder/captions.jsonl",
        lambda path: replace_line(path, 1, '{"image": "a.png", "text": "A", "task": "translate"}'),
        "captions.jsonl line 1: the task translate needs a source",
    ),
    (
        "folder",
        "folder/captions.jsonl",
        lambda path: replace_line(path, 1, '{"image": "a.png", "text": "A", "caption": "B"}'),
        "line 1 needs one of the columns text and caption, and has 2",
    ),
    (
        "folder",
        "folder/captions.jsonl",
        lambda path: replace_line(path, 2, "[]"),
        "captions.jsonl line 2 is not an object",
    ),
    (
        "folder",
        "folder/captions.jsonl",
        lambda path: replace_line(path, 1, '{"image": "a.png", "text": "  "}'),
        "captions.jsonl line 1: a text is empty",
    ),
    (
        "folder",
        "folder/captions.jsonl",
        lambda path: write(path.with_suffix(".csv"), "image,text"),
        "holds both captions.jsonl and captions.csv",
    ),
    ("folder", "folder/captions.jsonl", Path.unlink, "a.txt does not exist: write the text for a.png into it"),
]


@pytest.mark.parametrize(("loader", "file", "harm", "message"), BROKEN)
def test_a_broken_folder_is_told_in_one_sentence_with_its_file(
    loader: str, file: str, harm: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    load = every_loader(tmp_path)[loader]
    assert load().num_rows  # it is the harm that is told, nothing else
    harm(tmp_path / file)
    with pytest.raises(ValueError, match=message) as found:
        load()
    assert "\n" not in str(found.value)
    assert str(tmp_path) in str(found.value)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("image,text\na.png\n", "captions.csv line 2 does not have as many cells as the header"),
        ("image,text\na.png,A dog, a cat.\n", "captions.csv line 2 does not have as many cells as the header"),
        ("image,text,text\na.png,A,B\n", "captions.csv line 1 names a column twice"),
        ('image,text\n\na.png,"A" dog\n', "captions.csv line 3 is not CSV"),
        ("image,text\n,A dog.\n", "line 2: the image '' is not inside"),
        ("", "captions.csv holds no row"),
    ],
)
def test_a_broken_csv_is_told_in_one_sentence(cells: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "captions.csv").write_text(cells)
    with pytest.raises(ValueError, match=message):
        load_folder(tmp_path, "caption", "de", stand_in=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda folder: load_multi30k_translation(folder, "test_2016", "de"),
            "split of multi30k_translation must be one of .*, not 'test_2016'",
        ),
        (
            lambda folder: load_multi30k_translation(folder, "val", "cz"),
            "language of multi30k_translation must be one of de, fr, not 'cz'",
        ),
        (
            lambda folder: load_multi30k_captions(folder, "test_2017", "en"),
            "split of multi30k_captions must be one of train, val, test_2016,",
        ),
        (lambda folder: load_commute(folder, "de", "dev"), "language of commute must be one of fr, not 'de'"),
        (lambda folder: load_xm3600(folder, "quz"), "language of xm3600 must be one of ar, .*, not 'quz'"),
        (
            lambda folder: load_coco_karpathy(folder, "restval"),
            "split of coco_karpathy must be one of train, val, test, not 'restval'",
        ),
        (lambda folder: load_folder(folder / "none", "caption", "de"), "none is not a folder"),
        (lambda folder: load_folder(folder, "caption", "de"), "holds no image"),
        (lambda folder: build_dataset([], folder), "holds no rows of what was asked for"),
        (
            lambda folder: build_dataset([Row(folder, "translate", "en", ["B"], "k", "here", source="A")], folder),
            "here: translations are from English into another language",
        ),
    ],
)
def test_what_cannot_be_asked_for_is_told_in_one_sentence(
    call: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        call(tmp_path)


@pytest.mark.filterwarnings("default:.*were published")
def test_an_incomplete_benchmark_is_warned_of(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="correct.ru has 2 entries, but 324 were published") as found:
        load_commute(tiny_commute(tmp_path), "ru")
    assert found[0].filename == __file__
