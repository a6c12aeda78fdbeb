"""The table of runs becomes cells; what is not a table of a grid is refused in one sentence."""

import json
from pathlib import Path
from typing import Any

import pytest
from law_tables import make_rows, write_rows

from modeling_florenz.scaling.grid import read_grid
from modeling_florenz.scaling.law_rows import make_cells, read_rows, seed_spread, whole_cells


def test_seeds_of_a_cell_become_one_value_and_their_spread_is_told_apart(tmp_path: Path):
    rows = make_rows(widths=(64,), steps=(250,), seeds=(0, 1))
    for row, loss in zip(rows, (1.0, 4.0), strict=True):
        row["loss"]["unseen_captioning"] = loss
    (cell,) = make_cells(read_rows(write_rows(tmp_path / "law.jsonl", rows)), ["plain"])
    assert cell.loss("unseen_captioning") == pytest.approx(2.0)
    spread = seed_spread([cell], "unseen_captioning")
    assert spread is not None and spread["factor"] == pytest.approx(4 ** (1 / 2**0.5))


def test_only_cells_whose_seeds_all_have_a_row_are_whole(tmp_path: Path):
    grid = tmp_path / "grid.yaml"
    grid.write_text(
        "grid: {batch_size: 32, learning_rate: 1.0e-3, warmup_share: 0.05, scenes: 4, max_core_hours: 1, "
        "accuracies_from: 0.8, arms: {plain: {runs: [{widths: [32, 64], steps: [250], seeds: [0, 1]}]}}}"
    )
    rows = make_rows(widths=(32, 64), steps=(250,))
    kept, missing = whole_cells(rows[:3], read_grid(grid))
    assert kept == rows[:2] and missing == ["plain-64-250-1"]
    assert whole_cells(rows, read_grid(grid)) == (rows, [])


def test_one_seed_alone_has_no_spread():
    cells = make_cells(make_rows(seeds=(0,)), ["plain"])
    assert seed_spread(cells, "unseen_captioning") is None


def test_a_diverged_run_stays_in_the_table_and_outside_the_cells(tmp_path: Path):
    rows = make_rows(widths=(64,), steps=(250,), seeds=(0, 1))
    rows[1] |= {"diverged": True, "loss": {**rows[1]["loss"], "unseen_captioning": float("nan")}}
    read = read_rows(write_rows(tmp_path / "law.jsonl", rows))
    (cell,) = make_cells(read, ["plain"])
    assert len(read) == 2 and len(cell.losses["unseen_captioning"]) == 1


def test_compute_of_a_cell_is_that_of_its_macs():
    (cell,) = make_cells(make_rows(widths=(64,), steps=(250,), seeds=(0,)), ["plain"])
    row = make_rows(widths=(64,), steps=(250,), seeds=(0,))[0]
    share = row["parameters"]["trained"] / row["parameters"]["all"]
    assert cell.compute == pytest.approx(row["samples"] * row["macs"]["forward"] * (1 + share))
    assert cell.backward == pytest.approx(row["samples"] * (row["macs"]["forward"] + 2 * row["macs"]["trained"]))
    assert cell.captioned == pytest.approx(2 / 6)


def without(field: str) -> Any:
    def spoil(rows: list[dict[str, Any]]) -> None:
        del rows[0][field]

    return spoil


def with_nan(rows: list[dict[str, Any]]) -> None:
    rows[0]["loss"]["seen_captioning"] = float("nan")


def another_schema(rows: list[dict[str, Any]]) -> None:
    rows[0]["loss"] = 1.0


def twice(rows: list[dict[str, Any]]) -> None:
    rows.append(dict(rows[0]))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (
            without("parameters"),
            "the run plain-32-250-0 has no parameters: give a table that florenz",
        ),
        (with_nan, "has the loss nan of seen_captioning: mark it as diverged, or run it again"),
        (another_schema, "has a loss without unseen_captioning"),
        (twice, "line 33"),
    ],
)
def test_a_table_that_is_not_of_a_grid_is_refused(tmp_path: Path, spoil: Any, sentence: str):
    rows = make_rows()
    spoil(rows)
    with pytest.raises(ValueError, match=sentence):
        read_rows(write_rows(tmp_path / "law.jsonl", rows))


def test_a_missing_table_and_a_missing_arm_are_named(tmp_path: Path):
    with pytest.raises(ValueError, match="there is no table of runs at .*nowhere.jsonl"):
        read_rows(tmp_path / "nowhere.jsonl")
    with pytest.raises(ValueError, match="no run of arm hidden and width 7: name another arm or width"):
        make_cells(make_rows(), ["hidden"], [7])


def test_runs_of_a_cell_that_differ_in_more_than_the_seed_are_refused():
    rows = make_rows(widths=(64,), steps=(250,), seeds=(0, 1))
    rows[1]["samples"] += 1
    with pytest.raises(ValueError, match="width 64 and 250 steps differ in samples"):
        make_cells(rows, ["plain"])


def test_a_torn_last_line_is_ignored(tmp_path: Path):
    path = write_rows(tmp_path / "law.jsonl", make_rows())
    with path.open("a") as file:
        file.write(json.dumps(make_rows()[0])[:40])
    assert len(read_rows(path)) == len(make_rows())
