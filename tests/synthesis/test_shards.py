"""Steps leave shards that are whole, are kept, and are made again only when their inputs change."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from modeling_florenz.synthesis.run_step import run_step
from modeling_florenz.synthesis.shards import Batch, Made, digest_of


@dataclass
class Double:
    """Double numbers; refuse odd ones, and stop at a bad one."""

    factor: int = 2
    bad: int = -1
    name = "double"
    schema = pa.schema({"key": pa.string(), "value": pa.int64()})

    def settings(self) -> dict:
        return {"factor": self.factor}

    def make(self, rows: list[dict]) -> Made:
        made = Made()
        for row in rows:
            if row["value"] == self.bad:
                raise ValueError("a bad number")
            if row["value"] % 2:
                made.skip(row["key"], "odd", fault=True)
            else:
                made.rows.append({"key": row["key"], "value": row["value"] * self.factor})
        return made


def _batches(count: int, size: int = 4) -> Iterator[Batch]:
    for start in range(0, count, size):
        rows = [{"key": str(value), "value": value} for value in range(start, min(start + size, count))]
        yield Batch(digest_of(rows), (rows,), len(rows))


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("double/*.parquet"))}


def test_a_second_run_keeps_every_shard(tmp_path: Path) -> None:
    first = run_step(Double(), _batches(10), tmp_path)
    before = _contents(tmp_path)
    again = run_step(Double(bad=0), _batches(10), tmp_path)  # would stop if it made anything
    assert (first.kept, again.kept) == (0, 3)
    assert _contents(tmp_path) == before
    assert again.counts == [2, 2, 1]
    assert again.reasons() == {"odd": 5}
    assert [row["value"] for row in again.read()] == [0, 4, 8, 12, 16]


def test_an_interrupted_run_goes_on_and_gives_the_same_bytes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a bad number"):
        run_step(Double(bad=6), _batches(10), tmp_path / "broken")
    assert list(_contents(tmp_path / "broken")) == ["part-00000.parquet"]
    assert run_step(Double(), _batches(10), tmp_path / "broken").kept == 1
    run_step(Double(), _batches(10), tmp_path / "whole")
    assert _contents(tmp_path / "broken") == _contents(tmp_path / "whole")


def test_a_changed_setting_refuses_the_shards_and_is_named(tmp_path: Path) -> None:
    run_step(Double(), _batches(10), tmp_path)
    with pytest.raises(ValueError, match=r"holds shards made with other settings \(factor\): bring it back"):
        run_step(Double(factor=3), _batches(10), tmp_path)


def test_only_shards_with_other_inputs_are_made_again(tmp_path: Path) -> None:
    run_step(Double(), _batches(10), tmp_path)
    longer = run_step(Double(), _batches(14), tmp_path)
    assert longer.kept == 2
    assert sum(longer.counts) == 7


def test_a_broken_shard_is_made_again(tmp_path: Path) -> None:
    run_step(Double(), _batches(10), tmp_path)
    before = _contents(tmp_path)
    shard = tmp_path / "double" / "part-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:50])
    assert run_step(Double(), _batches(10), tmp_path).kept == 2
    assert _contents(tmp_path) == before


@pytest.mark.slow
def test_two_processes_give_the_bytes_of_one(tmp_path: Path) -> None:
    run_step(Double(), _batches(30), tmp_path / "one")
    run_step(Double(), _batches(30), tmp_path / "two", processes=2)
    assert _contents(tmp_path / "one") == _contents(tmp_path / "two")
