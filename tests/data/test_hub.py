"""Datasets in the Hub's formats: from a folder, downloaded and streamed, with column names of their own."""

import json
import pickle
from pathlib import Path

import pytest
from hub_datasets import picture, publish, write_archive, write_image_folder, write_parquet
from hub_thread import HubThread, talk_to

from modeling_florenz.data.dataset_info import HubPlace, Part
from modeling_florenz.data.datasets import find_dataset
from modeling_florenz.data.hub_files import SourceEndedError


COLUMNS = {"image": "photo", "target": "words", "language": "code"}


def _load(folder: Path = Path(), language: str = "de", split: str = "train", examples: int = 0, **place):
    return find_dataset("hub").load(
        Part(split=split, language=language, folder=folder, examples=examples, hub=HubPlace(**place))
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    write_parquet(folder / "data" / "train-00000-of-00001.parquet")
    write_parquet(folder / "data" / "test-00000-of-00001.parquet", count=3)
    return folder


@pytest.fixture
def hub(tmp_path, photos, monkeypatch):
    with HubThread(tmp_path / "hub") as thread:
        talk_to(thread, monkeypatch)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        publish(thread, photos)
        yield thread


@pytest.mark.parametrize("streaming", [False, True])
def test_rows_of_a_repository_have_their_own_column_names_and_the_commit(streaming, hub, tmp_path):
    rows = _load(repo="owner/photos", columns=COLUMNS, streaming=streaming)
    assert rows.commit == hub.handler.store.repo("dataset", "owner/photos")["refs"]["main"]
    assert rows.column("target") == [f"Ein Bild: Hund {number}." for number in range(0, 12, 2)]
    assert set(rows.column("language")) == {"de"}
    assert [rows[index]["image"].getpixel((0, 0))[0] for index in range(len(rows))] == [0, 14, 28, 42, 56, 70]
    assert "image" not in rows.without_images()[0]
    assert any((tmp_path / "cache").rglob("*.parquet")) is not streaming


def test_a_streamed_row_group_is_fetched_once_and_texts_come_without_images(hub, monkeypatch):
    sent = []
    resolve = hub.handler.resolve
    monkeypatch.setattr(hub.handler, "resolve", lambda self, *rest: (sent.append(rest), resolve(self, *rest))[1])
    rows = _load(repo="owner/photos", columns=COLUMNS, streaming=True)
    before = len(sent)
    rows[0], rows[1]
    first = len(sent) - before
    rows[0], rows[1]
    assert len(sent) - before == first > 0
    assert rows.blocks() == [0, 0, 1, 1, 2, 2]


def test_another_process_reads_on_by_itself(hub):
    rows = _load(repo="owner/photos", columns=COLUMNS, streaming=True)
    assert pickle.loads(pickle.dumps(rows))[3]["image"].size == (24, 16)


@pytest.mark.parametrize("kind", ["struct", "bytes", "path"])
def test_images_can_be_structs_bytes_or_files_of_the_dataset(kind, tmp_path):
    write_parquet(tmp_path / "train.parquet", kind=kind)
    (tmp_path / "photos").mkdir()
    for number in range(12):
        (tmp_path / "photos" / f"{number}.png").write_bytes(picture(number))
    rows = _load(tmp_path, columns=COLUMNS)
    assert rows[2]["image"].getpixel((0, 0)) == (28, 90, 120)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("url", "download the images"),
        ("number", "holds int64, not images"),
        ("places", "holds struct<left: int64, top: int64>, not images"),
        ("path", "'photos/0.png', not an image or a file"),
    ],
)
def test_addresses_numbers_and_files_that_are_elsewhere_are_refused_before_any_image_is_drawn(kind, words, tmp_path):
    write_parquet(tmp_path / "train.parquet", kind=kind)
    with pytest.raises(ValueError, match=words):
        _load(tmp_path, columns=COLUMNS)


def test_tables_archives_and_image_folders_without_rows_are_refused(tmp_path):
    write_parquet(tmp_path / "table" / "train.parquet", count=0, kind="path")
    with pytest.raises(ValueError, match="the split 'train' of .* holds no row in de"):
        _load(tmp_path / "table", columns=COLUMNS)
    write_archive(tmp_path / "archive" / "train.tar", count=0)
    with pytest.raises(ValueError, match="train.tar of .* holds no row: name another split"):
        _load(tmp_path / "archive", "en")
    write_image_folder(tmp_path / "folder", count=0)
    with pytest.raises(ValueError, match="metadata.jsonl of .* holds no row: name another split"):
        _load(tmp_path / "folder", "en")


@pytest.mark.parametrize(("column", "text"), [("txt", "A cat."), ("json.caption", "A dog, 1.")])
@pytest.mark.parametrize("streaming", [False, True])
def test_archives_are_read_by_the_endings_of_their_members(column, text, streaming, hub, tmp_path):
    write_archive(tmp_path / "shards" / "train-0000.tar")
    publish(hub, tmp_path / "shards", "owner/shards")
    rows = _load(repo="owner/shards", language="en", columns={"target": column}, streaming=streaming)
    assert rows[1]["target"] == text
    assert len(rows) == 6
    assert rows[3]["image"].getpixel((0, 0)) == (21, 90, 120)
    assert rows.blocks() is None


@pytest.mark.parametrize("streaming", [False, True])
def test_an_image_folder_is_read_by_its_metadata(streaming, hub, tmp_path):
    write_image_folder(tmp_path / "folder" / "train")
    publish(hub, tmp_path / "folder", "owner/folder")
    rows = _load(repo="owner/folder", language="en", streaming=streaming)
    assert rows[4]["target"] == "A dog, 4."
    assert rows[4]["image"].getpixel((0, 0)) == (28, 90, 120)


@pytest.mark.slow
def test_the_emoji_scenes_that_the_package_writes_are_read(tmp_path):
    from modeling_florenz.publishing.scenes_dataset import write_scenes_dataset

    write_scenes_dataset(tmp_path / "scenes", 3, 2, 1)
    rows = _load(tmp_path / "scenes", "fr", config="scenes", columns={"target": "caption_fr"})
    assert len(rows) == 3
    assert rows[0]["image"].size == (96, 96)
    columns = {"target": "correct", "incorrect": "incorrect", "source": "source", "language": "language"}
    place = HubPlace(config="ambiguous", columns=columns)
    part = Part(split="test", language="de", folder=tmp_path / "scenes", task="translate", hub=place)
    pairs = find_dataset("hub").load(part)
    assert pairs.contrasts() is pairs
    assert len(pairs) == 2
    with pytest.raises(ValueError, match="no config 'scene', only scenes, ambiguous"):
        _load(tmp_path / "scenes", "fr", config="scene", columns={"target": "caption_fr"})


def test_what_is_wrong_is_said_in_one_sentence(hub, photos, tmp_path):
    for place, words in (
        ({"repo": "owner/nothing"}, "there is no dataset owner/nothing"),
        ({"repo": "owner/photos", "revision": "v9"}, "has no revision 'v9'"),
        ({"repo": "owner/photos"}, "columns photo, words, code: say in columns which of them is the image"),
        ({"repo": "owner/photos", "columns": {**COLUMNS, "target": "text"}}, "no column 'text', only photo"),
        ({"repo": "owner/photos", "columns": COLUMNS, "config": "big"}, "leave config out"),
    ):
        with pytest.raises(ValueError, match=words) as error:
            _load(**place)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="no file of the split 'validation'"):
        _load(photos, split="validation", columns=COLUMNS)
    with pytest.raises(ValueError, match="holds no row in zh"):
        _load(photos, "zh", columns=COLUMNS)
    with pytest.raises(ValueError, match=r"has no \.parquet"):
        (tmp_path / "odd").mkdir()
        (tmp_path / "odd" / "train.arrow").write_bytes(b"")
        _load(tmp_path / "odd")
    with pytest.raises(ValueError, match="hub needs the folder"):
        _load(tmp_path / "none")


@pytest.mark.parametrize("name", ["train.parquet", "train.tar"])
def test_a_file_that_ends_early_is_said(name, tmp_path):
    (write_parquet if name.endswith("parquet") else write_archive)(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(SourceEndedError, match=rf"{name} of .* could not be read|no member"):
        rows = _load(tmp_path, "en" if name.endswith("tar") else "de", columns={} if name.endswith("tar") else COLUMNS)
        [rows[index] for index in range(len(rows))]


def test_a_stream_that_breaks_later_is_no_fault_of_a_row(hub):
    rows = _load(repo="owner/photos", columns=COLUMNS, streaming=True)
    store = hub.handler.store
    repo = store.repo("dataset", "owner/photos")
    store.save("dataset", "owner/photos", {**repo, "commits": dict.fromkeys(repo["commits"], {})})
    with pytest.raises(SourceEndedError, match="could not be read"):
        rows[0]


def test_a_row_that_metadata_names_but_nobody_wrote_is_said(tmp_path):
    write_image_folder(tmp_path)
    with (tmp_path / "metadata.jsonl").open("a") as file:
        file.write(json.dumps({"file_name": "9.png", "text": "A dog."}) + "\n")
    with pytest.raises(ValueError, match="has no file 9.png"):
        _load(tmp_path, "en")
