"""Numbers that are published stand in hub_cards/results and nowhere else by hand."""

import json
from pathlib import Path

import pytest

from modeling_florenz.evaluation.emoji_table import markdown


ROOT = Path(__file__).parents[1]
RESULTS = sorted((ROOT / "hub_cards" / "results").glob("*.json"))


def report(name: str) -> dict:
    return json.loads((ROOT / "hub_cards" / "results" / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", ["README.md", "modeling_florenz/florenz_tiny/README.md"])
def test_tables_are_those_of_the_result_files(page: str) -> None:
    table = markdown([report("florenz-tiny"), report("florenz-tiny-plain")])
    assert table in (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_every_result_says_where_it_comes_from(path: Path) -> None:
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["label"] in ("measured-here", "reported-by-paper")
    assert result["protocol"]
    assert result["command"]


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_every_table_kept_with_a_result_stands_in_the_readme(path: Path) -> None:
    assert json.loads(path.read_text(encoding="utf-8")).get("table", "") in (ROOT / "README.md").read_text("utf-8")
