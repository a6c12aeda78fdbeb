"""Targets above the limit are counted before the first step, and said once."""

import pytest

from modeling_florenz.data.rows import Rows
from modeling_florenz.inference.captioner import BUNDLED_MODEL
from modeling_florenz.processing_florenz import FlorenzProcessor
from modeling_florenz.training.target_lengths import warn_of_cut_targets


class Texts:
    def __init__(self, *targets: str) -> None:
        self.targets = list(targets)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> dict:
        raise AssertionError("an image was opened")

    def column(self, name: str) -> list[str]:
        return {"target": self.targets}[name]

    def without_images(self) -> list[dict]:
        return [{"target": target} for target in self.targets]

    def contrasts(self) -> Rows | None:
        return None


def test_cut_targets_are_counted_over_all_groups_and_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    processor = FlorenzProcessor.from_pretrained(BUNDLED_MODEL)
    long = "Ein Bild mit Hund, Katze und Fahrrad. " * 60
    groups = {"caption/de": Texts("Ein Hund.", long, long), "caption/zh": Texts("图片：狗。", "狗" * 500)}
    assert warn_of_cut_targets(groups, processor) == 3
    [record] = caplog.records
    assert record.getMessage().startswith("3 of 5 targets have more than 128 tokens and are cut, without an end token")


def test_nothing_is_said_where_nothing_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    processor = FlorenzProcessor.from_pretrained(BUNDLED_MODEL)
    assert warn_of_cut_targets({"caption/de": Texts("Ein Hund.", "x" * 120)}, processor) == 0
    assert not caplog.records
