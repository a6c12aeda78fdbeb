"""Name the repository that is pushed to, and change what is pushed."""

from pathlib import Path


REPO = "owner/florenz-tiny"


def replace_text(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
