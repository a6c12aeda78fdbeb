"""Figures of a law are the same byte for byte on a second run, and their texts do not overlap."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from law_tables import make_rows, write_rows


pytest.importorskip("matplotlib")
pytest.importorskip("statsmodels")

from matplotlib.text import Text  # noqa: E402

from modeling_florenz.scaling import law_plots  # noqa: E402
from modeling_florenz.scaling.law_report import make_report  # noqa: E402


LANGUAGES = ("fr", "es", "ru", "zh")
DOSE = {
    "models": {
        f"{arm}-{width}": {
            kind: {language: [{"language": words / 3} for words in range(4)] for language in LANGUAGES}
            for kind in ("right", "wrong")
        }
        for arm in ("plain", "partial")
        for width in (64, 160)
    }
}


@pytest.fixture(scope="module")
def table() -> list[dict[str, Any]]:
    return make_rows() + make_rows(widths=(160,), seeds=(0,), arm="partial", grounding=0.5)


@pytest.fixture(scope="module")
def report(table: list[dict[str, Any]]) -> dict[str, Any]:
    return make_report(table, "plain")


@pytest.mark.slow
def test_figures_are_equal_byte_for_byte_on_a_second_run_and_no_texts_overlap(
    tmp_path: Path, table: list[dict[str, Any]], report: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    places: dict[Text, Any] = {}  # as last drawn, in the PNG
    draw = Text.draw

    def draw_and_note(text: Text, renderer: Any, *arguments: Any, **options: Any) -> None:
        draw(text, renderer, *arguments, **options)
        if text.get_text() and text.get_visible():
            places[text] = text.get_window_extent(renderer)

    monkeypatch.setattr(Text, "draw", draw_and_note)
    dose = tmp_path / "prefix.json"
    dose.write_text(json.dumps(DOSE))
    first, second = tmp_path / "first", tmp_path / "second"
    paths = law_plots.draw_all(table, report, first, dose)
    overlaps = [
        (one.get_text(), other.get_text())
        for one, other in combinations(places, 2)
        if one.figure is other.figure and places[one].overlaps(places[other])
    ]
    assert len(places) > 100 and overlaps == []
    monkeypatch.undo()
    law_plots.draw_all(table, report, second, dose)
    names = ["law-compute", "law-samples", "law-residuals", "hiding", "prefix-dose"]
    assert paths == [first / f"{name}.svg" for name in names]
    assert sorted(path.name for path in first.iterdir()) == sorted(f"{n}.{s}" for n in names for s in ("svg", "png"))
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()
    assert b"dc:date" not in paths[0].read_bytes()


def test_a_report_of_other_runs_is_refused(tmp_path: Path, report: dict[str, Any]):
    with pytest.raises(ValueError, match="other runs than the table holds: fit that table again"):
        law_plots.draw_all(make_rows(noise=0.1), report, tmp_path / "plots")
    assert not (tmp_path / "plots").exists()


def test_what_is_not_the_study_of_prefixes_is_refused(
    tmp_path: Path, table: list[dict[str, Any]], report: dict[str, Any]
):
    dose = write_rows(tmp_path / "dose.json", make_rows())
    with pytest.raises(ValueError, match="holds no results of the study of prefixes"):
        law_plots.draw_all(table, report, tmp_path / "plots", dose)
