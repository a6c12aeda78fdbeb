"""`florenz scaling fit`, `predict` and `plot`: what they print, and one sentence for each bad input."""

import json
from pathlib import Path

import pytest
from law_tables import LAWS, make_rows, write_rows


pytest.importorskip("matplotlib")
pytest.importorskip("statsmodels")

from modeling_florenz.cli import main  # noqa: E402


@pytest.fixture(scope="module")
def law(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("law")
    table = write_rows(folder / "rows.jsonl", make_rows())
    assert main(["scaling", "fit", str(table), "--output", str(folder / "law.json")]) == 0
    return folder / "law.json"


def test_fit_prints_every_law_and_keeps_full_precision(law: Path, capsys: pytest.CaptureFixture[str]):
    table = law.with_name("rows.jsonl")
    assert main(["scaling", "fit", str(table), "--output", str(law.with_name("again.json"))]) == 0
    printed = capsys.readouterr().out
    assert "arm plain: 16 cells of 32 runs, 0 diverged" in printed
    for words in (
        "compute, front of",
        "samples and parameters",
        "samples and without_embeddings",
        "cells in the band",
    ):
        assert words in printed
    report = json.loads(law.read_text())
    assert report["label"] == "measured-here" and report["versions"] and report["command"]
    for group, (_, size, samples) in LAWS.items():
        found = report["groups"][group]["size_samples"]["parameters"]["law"]
        assert found["low"][1] <= size <= found["high"][1] and found["low"][2] <= samples <= found["high"][2]


def test_predict_gives_value_and_band_and_warns_beyond_twice_the_range(law: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["scaling", "predict", str(law), "--parameters", "4e6", "--samples", "64000", "--json"]) == 0
    output = capsys.readouterr()
    found = json.loads(output.out)
    a, b, c = LAWS["unseen_captioning"]
    truth = 10 ** (a + b * 6.60206 + c * 4.80618)
    assert found["low"] < truth < found["high"] and found["value"] == pytest.approx(truth, rel=0.05)
    assert output.err == ""
    assert main(["scaling", "predict", str(law), "--parameters", "4e7", "--samples", "64000"]) == 0
    assert "parameters is 4e+07, more than twice beyond the fitted range" in capsys.readouterr().err


def test_plot_names_its_files(law: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    table = law.with_name("rows.jsonl")
    assert main(["scaling", "plot", str(table), "--law", str(law), "--output", str(tmp_path / "plots")]) == 0
    printed = capsys.readouterr().out.split()
    assert printed == [str(tmp_path / "plots" / f"law-{name}.svg") for name in ("compute", "samples", "residuals")]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--parameters", "4e6"], "--samples is missing: give --parameters and --samples, or --compute"),
        (["--compute", "1e12", "--samples", "3"], "--compute stands in place of"),
        (["--parameters", "0", "--samples", "3"], "parameters must be a number above 0, not 0.0"),
        (["--compute", "nan"], "compute must be a number above 0, not nan"),
        (["--compute", "1e12", "--group", "captions"], "no group 'captions': use one of unseen_captioning"),
    ],
)
def test_a_prediction_that_makes_no_sense_is_refused(
    law: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
):
    assert main(["scaling", "predict", str(law), *arguments]) == 2
    output = capsys.readouterr()
    assert sentence in output.err and output.out == "" and output.err.count("\n") == 1


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            make_rows(widths=(32, 64), steps=(250, 500)),
            "4 cells are too few for 3 coefficients: a law needs at least 9",
        ),
        (make_rows(widths=range(32, 320, 32), steps=(250,)), "samples is 8000 in all 9 cells"),
        ([{"arm": "plain", "width": 32, "steps": 1, "seed": 0}], "the run plain-32-1-0 has no samples"),
        ([make_rows()[0]] * 2, "line 2"),
        (
            [{**row, "loss": {**row["loss"], "seen_translation": float("nan")}} for row in make_rows()],
            "has the loss nan of seen_translation: mark it as diverged, or run it again",
        ),
        ([{"key": "a.png"}], "line 1"),
    ],
)
def test_a_table_that_tells_no_law_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: list[dict], sentence: str
):
    table = write_rows(tmp_path / "rows.jsonl", rows)
    before = table.read_bytes()
    assert main(["scaling", "fit", str(table), "--output", str(tmp_path / "law.json")]) == 2
    output = capsys.readouterr()
    assert sentence in output.err and output.err.count("\n") == 1
    assert table.read_bytes() == before and not (tmp_path / "law.json").exists()


def test_files_that_are_not_reports_are_refused(tmp_path: Path, law: Path, capsys: pytest.CaptureFixture[str]):
    old = tmp_path / "old.json"
    old.write_text(json.dumps(json.loads(law.read_text()) | {"schema": 0}))
    torn = tmp_path / "torn.json"
    torn.write_text(law.read_text()[:100])
    for path, sentence in (
        (old, "has schema 0, not 1: run florenz scaling fit again"),
        (torn, "is not a report of laws"),
        (tmp_path / "nowhere.json", "there is no report of laws at"),
    ):
        assert main(["scaling", "predict", str(path), "--compute", "1e12"]) == 2
        assert sentence in capsys.readouterr().err
