"""README and the manual of each folder: short, complete, and true."""

import re
from pathlib import Path

import pytest
from manuals import FOLDERS, MANUALS, ROOT


def test_readme_has_at_most_150_lines() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_readme_names_the_manual_of_every_folder(folder: Path) -> None:
    assert f"({folder.relative_to(ROOT).as_posix()}/README.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", MANUALS, ids=lambda path: path.parent.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?://)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


@pytest.mark.parametrize("page", MANUALS, ids=lambda path: path.parent.name)
def test_every_file_named_in_a_manual_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    table = text.partition("## Files\n")[2].split("\n## ")[0]
    for name in re.findall(r"`([\w/]+(?:\.py|/))`", table):
        assert (page.parent / name).exists(), name
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)  # a command may name what it makes
    for path in re.findall(r"(?<![\w/])(?:tests|hub_cards|modeling_florenz|\.ci)/[\w./-]+\.\w+", prose):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", MANUALS, ids=lambda path: path.parent.name)
def test_every_module_that_a_manual_runs_exists(page: Path) -> None:
    for module in re.findall(r"-m (modeling_florenz[\w.]*)", page.read_text(encoding="utf-8")):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module


def _python(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", MANUALS, ids=lambda path: path.parent.name)
def test_the_python_of_every_manual_can_be_read(page: Path) -> None:
    for block in _python(page):
        compile(block, str(page), "exec")


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "modeling_florenz/inference/README.md"])
def test_the_python_that_needs_nothing_of_the_reader_runs(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    blocks = _python(ROOT / page)
    assert len(blocks) >= 2
    names: dict[str, object] = {}  # a block goes on from the one before it
    for block in blocks:
        if "from openai import" in block:
            continue  # asks a server, which its own tests start
        exec(compile(block, page, "exec"), names)
