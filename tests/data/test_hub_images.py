"""Images of datasets on the Hub come row by row under the name of their commit; what is odd is one sentence."""

import sys
from pathlib import Path

import pytest
from hub_datasets import picture, publish, write_archive, write_image_folder, write_parquet
from hub_thread import HubThread, talk_to

from modeling_florenz.data.image_inputs import find_image_inputs


pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install .[bulk]")
ADDRESS = "hf://datasets/owner/photos"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_parquet(tmp_path / "photos" / "data" / "train-00000-of-00001.parquet")
    write_parquet(tmp_path / "photos" / "data" / "test-00000-of-00001.parquet", count=3)
    with HubThread(tmp_path / "hub") as thread:
        talk_to(thread, monkeypatch)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        publish(thread, tmp_path / "photos")
        yield thread


def test_rows_of_tables_are_named_by_their_commit_and_nothing_is_copied(hub: HubThread, tmp_path: Path) -> None:
    first = hub.handler.store.repo("dataset", "owner/photos")["refs"]["main"]
    found = list(find_image_inputs([ADDRESS], column="photo", split="test"))
    root = f"{ADDRESS}@{first}/data/test-00000-of-00001.parquet"
    assert [image.name for image in found] == [f"{root}#{number}" for number in range(3)]
    assert [image.read() for image in found] == [picture(number) for number in range(3)]
    assert not any((tmp_path / "cache").rglob("*.parquet"))
    write_parquet(tmp_path / "photos" / "data" / "test-00000-of-00001.parquet", count=2)
    assert publish(hub, tmp_path / "photos") != first
    assert len(list(find_image_inputs([ADDRESS], column="photo", split="test"))) == 2
    pinned = list(find_image_inputs([f"{ADDRESS}@{first}"], column="photo", split="test"))
    assert [image.name for image in pinned] == [image.name for image in found]


def test_archives_and_folders_hold_image_files(hub: HubThread, tmp_path: Path) -> None:
    write_archive(tmp_path / "shards" / "train-0000.tar", count=3)
    publish(hub, tmp_path / "shards", "owner/shards")
    write_image_folder(tmp_path / "folder" / "train", count=3)
    publish(hub, tmp_path / "folder", "owner/folder")
    for name, first in (("shards", "train-0000.tar#0000"), ("folder", "train/0.png")):
        found = list(find_image_inputs([f"hf://datasets/owner/{name}/"]))
        assert [image.read() for image in found] == [picture(number) for number in range(3)]
        assert found[0].name.endswith(first)


@pytest.mark.parametrize(
    ("address", "more", "words"),
    [
        (ADDRESS, {}, "has no column 'image', only photo, words, code: name one with --image-column"),
        (ADDRESS, {"column": "words"}, "the column 'words' holds 'Ein Bild: Hund 0.', not an image or a file"),
        (ADDRESS, {"split": "dev"}, "has no file of the split 'dev': name another split"),
        (ADDRESS, {"split": "large/train"}, "has no configurations in its card: leave config out"),
        (f"{ADDRESS}@old", {}, "the dataset owner/photos has no revision 'old': name another"),
        ("hf://datasets/owner/none", {}, "there is no dataset owner/none on the Hub, or it is private: set HF_TOKEN"),
        ("hf://datasets/photos/a/b", {}, "hf://datasets/photos/a/b is not the address of a dataset: hf://datasets/"),
    ],
)
def test_what_cannot_be_found_is_one_sentence(address: str, more: dict[str, str], words: str, hub: HubThread) -> None:
    [found] = find_image_inputs([address], **more)
    assert found.problem is not None and words in found.problem


def test_without_pyarrow_the_command_that_installs_it_is_told(
    tmp_path: Path, hub: HubThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "modeling_florenz.data.hub_readers", raising=False)
    table = tmp_path / "photos" / "data" / "train-00000-of-00001.parquet"
    for given in (str(table), ADDRESS):
        [found] = find_image_inputs([given])
        assert found.problem is not None and found.problem.startswith(f"{given} needs pyarrow, which is not installed")
