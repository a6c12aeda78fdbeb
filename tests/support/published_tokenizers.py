"""Find the published tokenizers, and change one thing in a copy."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


FILES = Path(__file__).resolve().parents[3] / "shared" / "data" / "tokenizers"


FLORENCE = FILES / "florence2"


needs_files = pytest.mark.skipif(not FILES.is_dir(), reason=f"the real tokenizers are not at {FILES}")


def change(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def split_files(folder: Path) -> Path:
    """Put vocab.json and merges.txt in the place of tokenizer.json."""
    path = folder / "tokenizer.json"
    model = json.loads(path.read_text(encoding="utf-8"))["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(model["merges"]), encoding="utf-8")
    path.unlink()
    return folder


def add_native_tokens(folder: Path, tokens: list[str]) -> None:
    first = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    added = [{"id": index, "content": token, **first} for index, token in enumerate(tokens, 50265)]
    change(folder / "tokenizer.json", lambda content: content["added_tokens"].extend(added))
