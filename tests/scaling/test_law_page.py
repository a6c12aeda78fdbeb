"""The page says what the registered bars come to, which runs are missing, and nothing that no file holds."""

from pathlib import Path
from typing import Any

import pytest
from law_tables import make_rows


pytest.importorskip("statsmodels")

from modeling_florenz.card_template import read_results  # noqa: E402
from modeling_florenz.scaling import law_page  # noqa: E402
from modeling_florenz.scaling.grid import read_grid  # noqa: E402
from modeling_florenz.scaling.law_bars import decide  # noqa: E402
from modeling_florenz.yaml_files import read_yaml  # noqa: E402


CARDS = Path(__file__).parents[2] / "hub_cards"
LAW = CARDS / "studies" / "law.yaml"
LANGUAGES = ("en", "de", "fr", "es", "ru", "zh")


def accuracy(exact: float = 0.5, direct: float = 1.0, prefix: float = 1.0) -> dict[str, Any]:
    return {
        mode: {language: {"exact": exact, "things": 1.0, "language": rate} for language in LANGUAGES}
        for mode, rate in (("direct", direct), ("prefix", prefix))
    }


@pytest.fixture(scope="module")
def registered() -> list[dict[str, Any]]:
    """Return a made-up row for every registered run."""
    grid, rows = read_grid(LAW), []
    for run in grid.runs():
        arm = grid.arms[run.arm]
        rows += make_rows((run.width,), (run.steps,), (run.seed,), run.arm, 0.0, arm.captioned, arm.grounding)
        rows[-1]["accuracy"] = accuracy()
    return rows


@pytest.fixture(scope="module")
def found(registered: list[dict[str, Any]]) -> dict[str, Any]:
    return law_page.results(read_yaml(LAW), read_grid(LAW), registered)


def verdicts(rows: list[dict[str, Any]], report: dict[str, Any]) -> dict[str, Any]:
    return decide(rows, read_grid(LAW), report, read_yaml(LAW)["bars"])


def changed(rows: list[dict[str, Any]], width: int, steps: int, **values: float) -> list[dict[str, Any]]:
    return [
        {**row, "accuracy": accuracy(**values)} if (row["arm"], row["width"], row["steps"]) == ("plain", width, steps)
        else row
        for row in rows
    ]  # fmt: skip


def test_losses_that_follow_a_law_are_foretold_and_nothing_else_holds(found: dict[str, Any]):
    assert {name: bar["holds"] for name, bar in found["bars"].items()} == {
        "decay": False,
        "prefix": False,
        "foretold": True,
    }
    assert found["grid"]["missing"] == [] and len(found["cells"]) == 19


def test_decay_holds_where_both_seeds_fall_by_a_tenth(registered: list[dict[str, Any]], found: dict[str, Any]):
    bar = verdicts(changed(registered, 96, 4000, exact=0.39), found)["decay"]
    assert bar["holds"] and "width 96, seed 0: -0.110" in bar["found"]
    assert bar["sentence"].startswith("As in the paper")
    assert not verdicts(changed(registered, 96, 4000, exact=0.41), found)["decay"]["holds"]
    one_seed = [
        old if old["seed"] else new
        for old, new in zip(registered, changed(registered, 96, 4000, exact=0.1), strict=True)
    ]
    assert not verdicts(one_seed, found)["decay"]["holds"]


def test_a_prefix_that_lifts_the_language_holds_its_bar(registered: list[dict[str, Any]], found: dict[str, Any]):
    assert verdicts(changed(registered, 64, 4000, direct=0.4, prefix=0.75), found)["prefix"]["holds"]
    assert not verdicts(changed(registered, 64, 4000, direct=0.6, prefix=1.0), found)["prefix"]["holds"]
    assert not verdicts(changed(registered, 64, 4000, direct=0.4, prefix=0.6), found)["prefix"]["holds"]
    assert not verdicts(changed(registered, 64, 2000, direct=0.4, prefix=0.75), found)["prefix"]["holds"]


def test_bars_stay_open_while_runs_are_missing(registered: list[dict[str, Any]], found: dict[str, Any]):
    some = [row for row in registered if row["steps"] < 4000]
    bars = verdicts(some, found)
    assert bars["decay"]["holds"] is bars["prefix"]["holds"] is None and bars["decay"]["sentence"] is None


@pytest.mark.slow
def test_the_page_names_missing_runs_and_has_every_picture(registered: list[dict[str, Any]]):
    rows = [row for row in registered if (row["width"], row["steps"], row["seed"]) != (96, 1000, 1)]
    found = law_page.results(read_yaml(LAW), read_grid(LAW), rows)
    assert (96, 1000) not in [(cell["width"], cell["steps"]) for cell in found["cells"]]
    text = law_page.page(read_yaml(LAW), found, {name: read_results(CARDS, name) for name in law_page.STUDIES})
    assert "70 of the 71 registered runs" in text and "Missing: plain-96-1000-1." in text
    assert text.count("![") == 4
    assert found["table"] in text and found["held_out_table"] in text
    assert "None" not in text and "nan" not in text
