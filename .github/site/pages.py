"""Bring README, the manuals and the docstrings into the site: a hook of mkdocs.

The pages of the navigation are read from where they are in the repository, with the files that they show or link to; a
page that one of them links to comes after it. For each folder of the package a page is made of its docstrings.
"""

import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files


ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "modeling_florenz"
TITLES = {"": "Models and processor", "cli": "Command line", "tiny": "florenz-tiny"}
FOLDERS = ["", *sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))]
_LINK = re.compile(r"""\]\((?!\w+:|\#)([^)\s\#]+)|(?:src|srcset)="(?!\w+:)([^"\s]+)""")


def on_config(config: Any) -> Any:
    """Put what pages link to, and a page for every folder of the package, into the navigation."""
    config.nav = _with_linked(config.nav, set(_pages(config.nav)))
    config.nav.append({"Reference": [{_title(folder): _reference(folder)} for folder in FOLDERS]})
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the navigation, what they show or link to, and the pages made of docstrings."""
    for folder in FOLDERS:
        files.append(File.generated(config, _reference(folder), content=_docstrings(folder)))
    for page in _pages(config.nav):
        if files.get_file_from_path(page) is None:
            files.append(_file(page, config))
            for name in _targets(page):
                if not name.endswith(".md") and files.get_file_from_path(name) is None:
                    files.append(_file(name, config))
    return files


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """Show the type of an argument without the quotes that docstrings put around it."""
    return re.sub(r"<code>`(.*?)`</code>", r"<code>\1</code>", html) if page.url.startswith("reference/") else html


def _file(name: str, config: Any) -> File:
    file = File(name, str(ROOT), config.site_dir, use_directory_urls=False)
    # What begins with a dot is not served everywhere.
    file.dest_uri = file.dest_uri.replace(".github/", "project/")
    return file


def _targets(page: str) -> list[str]:
    """List the files that a page shows or links to."""
    found = _LINK.finditer((ROOT / page).read_text(encoding="utf-8"))
    paths = [(ROOT / page).parent.joinpath(match[1] or match[2]).resolve() for match in found]
    return [path.relative_to(ROOT).as_posix() for path in paths if path.is_file() and path.is_relative_to(ROOT)]


def _with_linked(nav: list[Any], known: set[str]) -> list[Any]:
    """Put behind every page those that it links to and that are nowhere in the navigation yet."""
    grown: list[Any] = []
    for entry in nav:
        [(title, value)] = entry.items() if isinstance(entry, dict) else [("", entry)]
        if isinstance(value, list):
            grown.append({title: _with_linked(value, known)})
            continue
        grown.append(entry)
        linked = sorted({name for name in _targets(value) if name.endswith(".md")} - known)
        known |= set(linked)
        grown += _with_linked(linked, known)
    return grown


def _pages(nav: list[Any]) -> list[str]:
    found = []
    for entry in nav:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            found += _pages(value) if isinstance(value, list) else [value]
    return found


def _title(folder: str) -> str:
    return TITLES.get(folder, folder.capitalize())


def _reference(folder: str) -> str:
    return f"reference/{folder or 'modeling_florenz'}.md"


def _docstrings(folder: str) -> str:
    paths = sorted((PACKAGE / folder).rglob("*.py") if folder else PACKAGE.glob("*.py"))
    parts = [f"# {_title(folder)}"]
    for path in paths:
        module = PurePosixPath(path.relative_to(ROOT).with_suffix("")).as_posix().replace("/", ".")
        if path.name.startswith("_") or not (path.parent / "__init__.py").is_file():
            continue  # a module for others to load is not the package's
        parts.append(f"## `{module.removeprefix('modeling_florenz.')}`\n\n::: {module}")
    return "\n\n".join(parts) + "\n"
