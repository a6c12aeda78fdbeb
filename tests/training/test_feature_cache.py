"""Stored image features stand for a file until it changes, and images that have none are computed beside others."""

import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from modeling_florenz.checkpoint.loading import load_processor
from modeling_florenz.data.columns import Row, build_dataset
from modeling_florenz.data.rows import JoinedRows, TableRows
from modeling_florenz.training.feature_cache import FeatureCache
from modeling_florenz.training.mixture import Mixture
from modeling_florenz.training.trainer import _among
from modeling_florenz.training.training_data import TrainingCollator


@pytest.fixture
def rows(tmp_path: Path) -> TableRows:
    for number in range(3):
        Image.new("RGB", (8, 8), (60 * number, 0, 0)).save(tmp_path / f"{number}.png")
    table = build_dataset(
        [Row(tmp_path / f"{number}.png", "caption", "en", ["A dog."], str(number), "here") for number in range(3)],
        tmp_path,
    )
    return TableRows(table)


def drawn(rows, cache: FeatureCache) -> dict[str, dict]:
    mixture = Mixture({"caption/en": rows}, "rows", 3, 0, cache)
    return {row["key"]: row for row in (mixture[number] for number in range(3))}


@pytest.mark.parametrize("joined", [False, True])
def test_a_file_is_not_opened_again_until_it_changes(joined: bool, rows: TableRows, tmp_path: Path) -> None:
    cache, given = FeatureCache(tmp_path / "features", "model", 96), JoinedRows([rows]) if joined else rows
    first = drawn(given, cache)
    assert all(row["image"].size == (8, 8) for row in first.values())
    cache.write([row["image_key"] for row in first.values()], torch.arange(6.0).reshape(3, 2, 1))
    second = drawn(given, cache)
    assert not any("image" in row for row in second.values())
    assert second["1"]["image_features"].equal(cache.read(first["1"]["image_key"]))
    changed = tmp_path / "1.png"
    before = os.stat(changed)
    changed.write_bytes(changed.read_bytes())
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns + 1))  # as large as before, a moment later
    third = drawn(given, cache)
    assert third["1"]["image_key"] != first["1"]["image_key"] and "image_features" not in third["1"]
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "image_features" in drawn(given, cache)["1"]


def test_another_model_or_size_does_not_get_the_features(rows: TableRows, tmp_path: Path) -> None:
    names = [FeatureCache(tmp_path, *salt).key_of_file("a 1 2") for salt in (("m", 96), ("n", 96), ("m", 64))]
    assert len(set(names)) == 3


def test_only_images_without_features_are_prepared(rows: TableRows, tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "features", "model", None)
    collate = TrainingCollator(load_processor(), features=cache)
    whole = collate(list(drawn(rows, cache).values()))
    assert whole["pixel_values"].shape[0] == len(whole["image_keys"]) == 3 and "kept_features" not in whole
    cache.write(whole["image_keys"][1:2], torch.full((1, 2, 4), 7.0))
    part = collate(list(drawn(rows, cache).values()))
    assert part["image_keys"] == [whole["image_keys"][0], whole["image_keys"][2]]
    assert part["pixel_values"].equal(whole["pixel_values"][[0, 2]])
    assert part["labels"].equal(whole["labels"]) and part["input_ids"].equal(whole["input_ids"])
    features = _among(part["kept_features"], torch.stack([torch.zeros(2, 4), torch.ones(2, 4)]))
    assert features[:, 0, 0].tolist() == [0, 7, 1]
    cache.write(part["image_keys"], torch.zeros(2, 2, 4))
    last = collate(list(drawn(rows, cache).values()))
    assert last["mm_encoder_outputs"]["image"].pooler_output[:, 0, 0].tolist() == [0, 7, 0]
    assert "pixel_values" not in last and "image_keys" not in last
