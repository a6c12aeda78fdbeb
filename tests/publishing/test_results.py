"""Numbers that are published stand in hub_cards/results and nowhere else by hand."""

import json
import re
from pathlib import Path

import pytest
from manuals import MANUALS, ROOT

from modeling_florenz.tiny.table import markdown


RESULTS = sorted((ROOT / "hub_cards" / "results").glob("*.json"))


def report(name: str) -> dict:
    return json.loads((ROOT / "hub_cards" / "results" / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", ["modeling_florenz/tiny/README.md", "hub_cards/rendered/florenz-tiny.md"])
def test_tables_are_those_of_the_result_files(page: str) -> None:
    table = markdown([report("florenz-tiny")])
    assert table in (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_every_result_says_where_it_comes_from(path: Path) -> None:
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["label"] in ("measured-here", "reported-by-paper")
    assert result["protocol"]
    assert result["command"]


def _missing(text: str) -> list[str]:
    """Find the scripts, tests and modules of a result's commands that are not there, or not any more."""
    files = re.findall(r"(?:tests|space|modeling_florenz)/[\w/]+\.py", text)
    modules = [name.replace(".", "/") for name in re.findall(r"-m (modeling_florenz[\w.]*)", text)]
    found = [*files, *(f"{name}/__main__.py" if (ROOT / name).is_dir() else f"{name}.py" for name in modules)]
    return [name for name in found if not (ROOT / name).exists()]


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_what_a_command_runs_is_there(path: Path) -> None:
    assert not _missing(path.read_text(encoding="utf-8"))


def test_a_command_whose_script_was_moved_is_seen() -> None:
    moved = "python tests/benchmark_loss.py; python -m modeling_florenz.evaluation.check_paper --all"
    assert _missing(moved) == ["tests/benchmark_loss.py", "modeling_florenz/evaluation/check_paper.py"]


TABLES = [path for path in RESULTS if json.loads(path.read_text(encoding="utf-8")).get("table")]


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_every_table_kept_with_a_result_is_in_exactly_one_manual(path: Path) -> None:
    table = json.loads(path.read_text(encoding="utf-8"))["table"]
    assert len([page for page in MANUALS if table in page.read_text(encoding="utf-8")]) == 1


# What looks like a measured number and is not one: versions, shapes of the architecture, settings.
_NUMBER = re.compile(r"(?<![\w.,/-])\d{1,3}(?:,\d{3})+(?![\w,])|(?<![\w.,/-])\d+\.\d+(?![\w.]|,\d)")
_SETTINGS = {"768.0", "2503.09443", "1,600", "1,024", "256,000", "257,024", "3.11", "2.0", "1,000"}


def _published(text: str) -> set[str]:
    """Find the numbers of a page: with a decimal point or a thousands comma, outside code, names and metadata."""
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    text = re.sub(r"```.*?```|`[^`]*`|\([^()\s]*\)|https?://\S+", " ", text, flags=re.DOTALL)
    text = re.sub(r"\b\d+\.\d+ ?[bB]\b|(?:Python|torch|transformers|arXiv|OFL|and) [\d.]+\d", " ", text)
    return set(_NUMBER.findall(text)) - _SETTINGS


def _known() -> set[str]:
    """Collect every number of the result files, as it is and rounded as tables round it."""
    known: set[str] = set()

    def collect(value: object) -> None:
        if isinstance(value, dict):
            for item in value.values():
                collect(item)
        elif isinstance(value, list):
            for item in value:
                collect(item)
        elif isinstance(value, str):
            known.update(re.findall(r"\d+(?:[.,]\d+)*", value))
        elif isinstance(value, int | float):
            known.update((str(value), f"{value:.1f}", f"{value:.2f}", f"{value:.3f}", f"{value:.4f}", f"{value:,}"))

    for path in RESULTS:
        collect(json.loads(path.read_text(encoding="utf-8")))
    known.update(_NUMBER.findall(markdown([report("florenz-tiny")])))
    return known


PAGES = [*MANUALS, *sorted((ROOT / "hub_cards" / "rendered").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_public_number_stands_in_a_result_file(page: Path) -> None:
    assert not sorted(_published(page.read_text(encoding="utf-8")) - _known())


def test_a_number_from_nowhere_would_be_found() -> None:
    assert _published("It gains 37.415 points on 12,345 images (see 4).") - _known() == {"37.415", "12,345"}
