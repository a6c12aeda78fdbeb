"""A dataset that is broken or incomplete is one sentence that names the file."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest


pytest.importorskip("datasets")

from made_up_datasets import every_loader, tiny_commute, write  # noqa: E402

from modeling_florenz.data.coco_karpathy import load_coco_karpathy  # noqa: E402
from modeling_florenz.data.columns import Row, build_dataset  # noqa: E402
from modeling_florenz.data.commute import load_commute  # noqa: E402
from modeling_florenz.data.folder import load_folder  # noqa: E402
from modeling_florenz.data.multi30k import (  # noqa: E402
    load_multi30k_captions,
    load_multi30k_translation,
)
from modeling_florenz.data.xm3600 import load_xm3600  # noqa: E402


# Every made-up folder is smaller than the published dataset.
pytestmark = pytest.mark.filterwarnings("ignore:.*were published")


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
