"""Recipes on datasets of the Hub: streamed, recorded with their commit, refused when they changed."""

import logging

import numpy as np
import pytest
from hub_datasets import publish, write_parquet
from hub_thread import HubThread, talk_to
from small_recipes import small_recipe, write_photos

from modeling_florenz.data.hub_files import SourceEndedError
from modeling_florenz.training.data_source import read_source
from modeling_florenz.training.ended_source import ended_source_said
from modeling_florenz.training.fine_tuning import fine_tune
from modeling_florenz.training.mixture import Mixture
from modeling_florenz.training.smoke import smoke_values


COLUMNS = {"image": "photo", "target": "words", "language": "code"}


def test_a_streamed_dataset_is_trained_on_recorded_and_refused_once_it_changed(tmp_path, monkeypatch):
    write_parquet(tmp_path / "photos" / "train.parquet")
    data = [
        {
            "dataset": "hub",
            "repo": "owner/photos",
            "columns": COLUMNS,
            "languages": ["de", "fr"],
            "streaming": True,
        },
        {"dataset": "folder", "folder": "more", "languages": ["de"]},
    ]
    write_photos(tmp_path / "more")
    more = {"train_data": data, "data_folder": str(tmp_path), "shares": {"caption/de": 1, "caption/fr": 2}}
    with HubThread(tmp_path / "hub") as hub:
        talk_to(hub, monkeypatch)
        commit = publish(hub, tmp_path / "photos")
        run = fine_tune(small_recipe(tmp_path / "run", max_steps=2, **more))
        assert run.results["data"]["train"][:2] == [
            {"dataset": "hub owner/photos", "split": "train", "commit": commit, "rows": {"caption/de": 6}},
            {"dataset": "hub owner/photos", "split": "train", "commit": commit, "rows": {"caption/fr": 6}},
        ]
        assert run.results["skipped"] == []
        assert "hub owner/photos" in (run.folder / "README.md").read_text()
        write_parquet(tmp_path / "photos" / "train.parquet", count=14)
        changed = publish(hub, tmp_path / "photos")
        with pytest.raises(ValueError, match=rf"was at commit {commit} and is at {changed} \(revision: {commit} in"):
            fine_tune(small_recipe(tmp_path / "run", max_steps=4, **more))
        more["train_data"] = [{**data[0], "revision": commit}, data[1]]
        assert fine_tune(small_recipe(tmp_path / "run", max_steps=4, **more)).results["steps"] == 4
        more["train_data"] = [{**data[0], "revision": changed}, data[1]]
        with pytest.raises(ValueError, match=f"is at {changed}"):
            fine_tune(small_recipe(tmp_path / "run", max_steps=4, **more))


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"repo": "a/b", "folder": "c"}, "either a repo or a folder"),
        ({}, "either a repo or a folder"),
        ({"repo": "a b"}, "repo of hub must be owner/name"),
        ({"repo": "a/b", "columns": {"picture": "x"}}, "columns of hub"),
        ({"repo": "a/b", "columns": {"image": 3}}, "must map our names"),
        ({"repo": "a/b", "languages": ["de", "fr"]}, r"columns: \{language: NAME\}"),
        ({"folder": "c", "streaming": True}, "are for a repo"),
        ({"dataset": "docci", "repo": "a/b", "split": "train"}, "repo is for the dataset hub, not for docci"),
    ],
)
def test_an_entry_that_cannot_work_is_refused(entry, words):
    with pytest.raises(ValueError, match=words):
        read_source("train_data", {"dataset": "hub", **entry})


class _Blocks(list):
    def blocks(self):
        return [row["block"] for row in self]


def test_rows_of_few_blocks_are_drawn_together_and_each_once():
    rows = _Blocks({"block": index // 10, "key": index} for index in range(100))
    mixture = Mixture({"caption/en": rows}, "rows", 100, 3)
    drawn = [mixture[draw] for draw in range(100)]
    assert sorted(row["key"] for row in drawn) == list(range(100))
    assert all(len({row["block"] for row in drawn[start : start + 20]}) == 2 for start in range(0, 100, 20))
    assert [row["block"] for row in drawn] != sorted(row["block"] for row in drawn)
    plain = Mixture({"caption/en": list(rows)}, "rows", 100, 3)
    assert len({plain[draw]["block"] for draw in range(20)}) > 2
    assert np.all(plain.row_of != Mixture({"caption/en": list(rows)}, "rows", 100, 4).row_of) == np.False_


class _Gone(list):
    def __getitem__(self, index):
        raise SourceEndedError("train.parquet of a/b could not be read (gone): run the same command again")


def test_a_source_that_ends_is_not_skipped_row_by_row():
    with pytest.raises(SourceEndedError, match="could not be read"):
        Mixture({"caption/en": _Gone([1, 2])}, "rows", 2, 0)[0]


def test_a_workers_traceback_becomes_its_sentence():
    told = "Caught SourceEndedError in DataLoader worker process 0.\nOriginal Traceback:\n  x\npackage.hub_files."
    with pytest.raises(SourceEndedError) as error, ended_source_said():
        raise SourceEndedError(f"{told}SourceEndedError: a of b could not be read (c: d): run it again\n")
    assert str(error.value) == "a of b could not be read (c: d): run it again"


def test_a_trial_run_fetches_nothing(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    data = [{"dataset": "hub", "repo": "a/b", "columns": COLUMNS, "languages": ["de", "fr"]}]
    values = smoke_values(small_recipe(tmp_path / "run", train_data=data), tmp_path)
    assert [entry["folder"] for entry in values["train_data"]] == ["hub-0-de", "hub-0-fr"]
    assert (tmp_path / "data" / "hub-0-fr" / "captions.jsonl").exists()
