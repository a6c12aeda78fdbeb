"""Texts that grow reach whoever reads, and the writer stops when nobody does."""

import threading
from typing import Any

import pytest


def test_texts_grow_and_the_result_comes_last(space: Any) -> None:
    def run(watch: Any) -> int:
        for text in ("A", "A dog"):
            watch("en", text)
        watch("de", "Ein")
        return 5

    *texts, result = space("growing").while_it_writes(run)
    assert result == 5
    assert all(later["en"].startswith(sooner["en"]) for sooner, later in zip(texts, texts[1:], strict=False))


def test_what_the_writer_raises_is_raised(space: Any) -> None:
    def run(watch: Any) -> None:
        watch("en", "A")
        raise MemoryError

    with pytest.raises(MemoryError):
        list(space("growing").while_it_writes(run))


def test_a_reader_who_leaves_stops_the_writer(space: Any) -> None:
    read, ended = threading.Event(), threading.Event()

    def run(watch: Any) -> None:
        try:
            watch("en", "A")
            read.wait(10)
            watch("en", "A dog")
        except Exception:
            ended.set()
            raise

    texts = space("growing").while_it_writes(run)
    assert next(texts) == {"en": "A"}
    texts.close()
    read.set()
    assert ended.wait(10)
