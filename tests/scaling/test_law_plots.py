"""Figures of a law are the same byte for byte on a second run, and their texts do not overlap."""

import json
from itertools import combinations
from pathlib import Path

import pytest
from law_tables import make_rows, write_rows


pytest.importorskip("matplotlib")
pytest.importorskip("statsmodels")

from modeling_florenz.scaling import law_plots  # noqa: E402
from modeling_florenz.scaling.law_report import make_report  # noqa: E402


DOSE = {
    "model": "florenz-tiny",
    "languages": ["en", "fr"],
    "doses": {
        kind: {language: [{"language": words / 3} for words in range(4)] for language in ("en", "fr")}
        for kind in ("right", "wrong")
    },
}


def make_table(folder: Path) -> Path:
    rows = make_rows() + make_rows(widths=(160,), seeds=(0,), arm="partial", grounding=0.5)
    return write_rows(folder / "law.jsonl", rows)


def test_figures_are_equal_byte_for_byte_on_a_second_run(tmp_path: Path):
    table = make_table(tmp_path)
    report = make_report(table, "plain")
    dose = tmp_path / "prefix.json"
    dose.write_text(json.dumps(DOSE))
    first, second = tmp_path / "first", tmp_path / "second"
    paths = law_plots.draw_all(table, report, first, dose)
    law_plots.draw_all(table, report, second, dose)
    names = ["law-compute", "law-samples", "law-residuals", "hiding", "prefix-dose"]
    assert paths == [first / f"{name}.svg" for name in names]
    assert sorted(path.name for path in first.iterdir()) == sorted(f"{n}.{s}" for n in names for s in ("svg", "png"))
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()
    assert b"dc:date" not in paths[0].read_bytes()


def test_no_texts_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from matplotlib.text import Text

    checked = []
    inherited = law_plots.legend

    def legend_and_check(drawn, axes, title):
        inherited(drawn, axes, title)
        drawn.canvas.draw()
        boxes = [
            (text.get_text(), text.get_window_extent())
            for text in drawn.findobj(Text)
            if text.get_text() and text.get_visible()
        ]
        checked.append([pair for pair in combinations(boxes, 2) if pair[0][1].overlaps(pair[1][1])])

    monkeypatch.setattr(law_plots, "legend", legend_and_check)
    table = make_table(tmp_path)
    dose = tmp_path / "prefix.json"
    dose.write_text(json.dumps(DOSE))
    law_plots.draw_all(table, make_report(table, "plain"), tmp_path / "plots", dose)
    assert len(checked) == 5
    assert [[(a, b) for (a, _), (b, _) in pairs] for pairs in checked] == [[], [], [], [], []]


def test_a_report_of_other_runs_is_refused(tmp_path: Path):
    table = make_table(tmp_path)
    report = make_report(table, "plain")
    other = write_rows(tmp_path / "other.jsonl", make_rows(noise=0.1))
    with pytest.raises(ValueError, match=r"other runs than .*other.jsonl holds: fit that table again"):
        law_plots.draw_all(other, report, tmp_path / "plots")
    assert not (tmp_path / "plots").exists()


def test_what_is_not_the_study_of_prefixes_is_refused(tmp_path: Path):
    table = make_table(tmp_path)
    with pytest.raises(ValueError, match="holds no results of the study of prefixes"):
        law_plots.draw_all(table, make_report(table, "plain"), tmp_path / "plots", table)
