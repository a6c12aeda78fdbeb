"""A grid is read with one sentence for what does not fit, run by several processes, and continued."""

import json

import pytest

from modeling_florenz.cli import main
from modeling_florenz.scaling.grid import read_grid
from modeling_florenz.scaling.grid_run import remaining


GRID = """grid:
  batch_size: 2
  learning_rate: 1.0e-3
  warmup_share: 0.05
  scenes: 2
  max_core_hours: 1
  accuracies_from: 0.8
  arms:
    plain:
      runs:
        - {widths: [32, 64], steps: [10, 30], seeds: [0]}
"""


@pytest.fixture
def grid(tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text(GRID)
    return path


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("scenes: 2", "scenes: 2\n  colour: red", "has the unknown key 'colour'"),
        ("  scenes: 2\n", "", "lacks the key 'scenes': add it"),
        ("seeds: [0]}", "seeds: [0, 0]}", "the run plain-32-10-0 is in the grid twice: name it once"),
        ("[32, 64]", "[40]", "widths must be multiples of 32, as a head is 32 wide, not 40"),
        ("[10, 30]", "[0]", "steps must be a list of whole numbers"),
        ("[10, 30]", "[]", "steps must be a list of whole numbers"),
        ("      runs:", "      start: plain\n      runs:", "the arm 'plain' needs both start and self_taught_steps"),
        ("    plain:\n      runs:", "    plain:\n      rums:", "the arm plain has no list of runs"),
    ],
)
def test_what_does_not_fit_is_one_sentence_and_nothing_is_trained(grid, capsys, old, new, sentence):
    assert old in GRID
    grid.write_text(GRID.replace(old, new))
    folder, rows = grid.parent / "folder", grid.parent / "rows.jsonl"
    assert main(["scaling", "run", str(grid), "--folder", str(folder), "--rows", str(rows)]) == 2
    assert sentence in capsys.readouterr().err
    assert not folder.exists()


def test_a_grid_above_its_limit_is_refused_with_the_estimate(grid, capsys):
    grid.write_text(GRID.replace("max_core_hours: 1", "max_core_hours: 0.0001").replace("[32, 64]", "[32]"))
    folder, rows = grid.parent / "folder", grid.parent / "rows.jsonl"
    assert main(["scaling", "run", str(grid), "--folder", str(folder), "--rows", str(rows)]) == 2
    assert "core-hours, more than max_core_hours, which is 0.0001" in capsys.readouterr().err
    assert not folder.exists()


def test_the_smallest_study_has_one_row_a_run_and_is_not_repeated(grid, capsys):
    folder, rows = grid.parent / "folder", grid.parent / "rows.jsonl"
    command = ["scaling", "run", str(grid), "--folder", str(folder), "--rows", str(rows)]
    assert main(command) == 0
    assert "4 of 4 runs are left" in capsys.readouterr().out
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    assert {(row["width"], row["steps"], row["seed"]) for row in found} == {
        (width, steps, 0) for width in (32, 64) for steps in (10, 30)
    }
    for row in found:
        assert row["samples"] == 2 * row["steps"]
        assert set(row["loss"]) == {"unseen_captioning", "seen_translation", "seen_captioning"}
        assert row["losses"]["caption"].keys() == {"en", "de", "fr", "es", "ru", "zh"}
        assert not row["diverged"]
        assert set(row["accuracy"]) == {"direct"}  # too short to caption: only the captions that were taught
    assert main(command) == 0
    assert "all 4 runs have a row" in capsys.readouterr().out
    before = rows.read_bytes()
    grid.write_text(GRID.replace("learning_rate: 1.0e-3", "learning_rate: 2.0e-3"))
    assert main(command) == 2
    assert "holds runs of a grid with other settings (learning_rate): give another --folder" in capsys.readouterr().err
    assert rows.read_bytes() == before


def test_a_duplicate_row_is_named(grid):
    rows = grid.parent / "rows.jsonl"
    row = json.dumps({"arm": "plain", "width": 32, "steps": 10, "seed": 0})
    rows.write_text(f"{row}\n{row}\n")
    with pytest.raises(ValueError, match="line 2: arm plain, width 32, steps 10, seed 0 is there twice"):
        remaining(read_grid(grid), rows)
