"""Rows of datasets: read one by one, column by column without images, and several datasets as one."""

import pytest
from datasets import Dataset

from modeling_florenz.data.emoji_scenes.coverage import Coverage
from modeling_florenz.data.emoji_scenes.rows import SceneRows
from modeling_florenz.data.emoji_scenes.world import EmojiWorld
from modeling_florenz.data.rows import JoinedRows, TableRows, join


def _table(*keys, **more):
    return Dataset.from_dict({"key": list(keys), "image": [f"image of {key}" for key in keys], **more})


def test_a_table_gives_rows_columns_and_what_is_added_to_each():
    rows = TableRows(_table("a", "b"), {"split": "test"})
    assert rows[1] == {"key": "b", "image": "image of b", "split": "test"}
    assert rows.column("key") == ["a", "b"]
    assert rows.without_images() == [{"key": "a", "split": "test"}, {"key": "b", "split": "test"}]
    assert rows.select([1])[0] == rows[1]
    with pytest.raises(IndexError):
        rows[2]


def test_joined_rows_are_those_of_all_parts_in_order():
    rows = join([TableRows(_table("a", "b")), TableRows(_table("c"))])
    assert [rows[index]["key"] for index in range(len(rows))] == rows.column("key") == ["a", "b", "c"]
    assert [row["key"] for row in rows.without_images()] == ["a", "b", "c"]
    for outside in (3, -1):
        with pytest.raises(IndexError):
            rows[outside]
    assert join([]) is None


def test_contrasts_are_found_in_whichever_part_has_them():
    plain, contrastive = TableRows(_table("a")), TableRows(_table("b", "c", incorrect=["x", "y"]))
    assert plain.contrasts() is None
    assert contrastive.contrasts().column("incorrect") == ["x", "y"]
    assert JoinedRows([plain, plain]).contrasts() is None
    for parts in ([plain, contrastive], [contrastive, plain], [contrastive, contrastive]):
        found = JoinedRows(parts).contrasts()
        assert set(found.column("key")) == {"b", "c"}
    assert len(found) == 4


def test_the_texts_of_scenes_are_those_of_their_rows():
    rows = SceneRows(EmojiWorld(), Coverage((("translate", "fr"), ("caption", "de"))), seed=3, length=5)
    drawn = [rows[index] for index in range(5)]
    assert rows.column("target") == [row["target"] for row in drawn]
    assert rows.without_images() == [{k: v for k, v in row.items() if k != "image"} for row in drawn]
    assert rows.contrasts() is None
    with pytest.raises(IndexError):
        rows[5]
