"""Read under which licence a folder is, and write or pass on the files that belong with it. Nothing is guessed."""

import re
import shutil
from pathlib import Path
from typing import Any

from ..yaml_files import parse_yaml


UNKNOWN = "unknown"  # the Hub's identifier where none is stated
_FOLDER = Path(__file__).parents[1] / "licenses"
_EMOJI = Path(__file__).parents[1] / "data" / "emoji_scenes" / "emoji"
# apache-2.0 is for florenz-tiny and what derives from it, whose world has sprites and names by others.
_FILES = {
    "gemma": (_FOLDER / "FLORENCE_LICENSE", [_FOLDER / "GEMMA_NOTICE"]),
    "mit": (_FOLDER / "FLORENCE_LICENSE", [_FOLDER / "TOKENIZER_NOTICE"]),
    "apache-2.0": (_FOLDER / "APACHE_LICENSE", [_EMOJI / "NOTICE.md", _EMOJI / "OFL.txt"]),
}
# The Hub's repositories name them in many ways.
PAPERS = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING", "NOTICE", "NOTICE.txt", "NOTICE.md")
_METADATA = re.compile(r"\A---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_SENTENCES = {
    "gemma": "gemma terms of use",
    "apache-2.0": "apache license version 2.0",
    "mit": "permission is hereby granted, free of charge, to any person obtaining a copy",
}


def license_of(folder: Path) -> str | None:
    """Read the licence of a folder from its card, or else from its licence files.

    Returns:
        the Hub's identifier, or None if neither states one.

    Example:

    ```python
    >>> from modeling_florenz import BUNDLED_MODEL

    >>> license_of(BUNDLED_MODEL)
    'apache-2.0'
    ```
    """
    stated = _metadata(folder / "README.md").get("license")
    stated = [stated] if isinstance(stated, str) else stated
    if isinstance(stated, list) and stated and all(isinstance(name, str) and name for name in stated):
        return next((name for name in stated if name == "gemma"), stated[0])
    texts = (" ".join(_read(folder / name).split()).lower() for name in PAPERS)
    words = " ".join(texts)
    return next((name for name, sentence in _SENTENCES.items() if sentence in words), None)


def license_of_all(folders: list[Path]) -> str | None:
    """Read the licence of what is composed of several folders: Gemma's terms bind all, others only if they agree."""
    found = [license_of(folder) for folder in folders]
    if "gemma" in found:
        return "gemma"
    return found[0] if len(set(found)) == 1 else None


def write_licences(folder: Path, license: str) -> None:
    """Write `LICENSE` and `NOTICE` into a folder.

    Args:
        folder: of a model, an adapter or a dataset.
        license: `gemma`, `mit` or `apache-2.0`; of another one the package has no files, and none are written.
    """
    if license not in _FILES:
        return
    text, notices = _FILES[license]
    shutil.copyfile(text, folder / "LICENSE")
    parts = [notice.read_text(encoding="utf-8").strip() for notice in notices]
    (folder / "NOTICE").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def pass_on_licences(source: Path, folder: Path) -> None:
    """Copy the licence files of a base model to what is made of it; there may be none."""
    for name in PAPERS:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)


def _metadata(card: Path) -> dict[str, Any]:
    match = _METADATA.match(_read(card))
    try:
        values = parse_yaml(match[1], str(card)) if match else None
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def _read(path: Path) -> str:
    if not path.is_file() or path.stat().st_size > 1 << 20:
        return ""
    return path.read_text(encoding="utf-8", errors="replace")
