"""Write the licence files that belong with weights, by the Hub's identifier of the licence."""

import shutil
from pathlib import Path


_FOLDER = Path(__file__).parents[1] / "licenses"
_EMOJI = Path(__file__).parents[1] / "data" / "emoji_scenes" / "emoji"
# apache-2.0 is for florenz-tiny and what derives from it, whose world has sprites and names by others.
_FILES = {
    "gemma": (_FOLDER / "FLORENCE_LICENSE", [_FOLDER / "GEMMA_NOTICE"]),
    "mit": (_FOLDER / "FLORENCE_LICENSE", [_FOLDER / "TOKENIZER_NOTICE"]),
    "apache-2.0": (_FOLDER / "APACHE_LICENSE", [_EMOJI / "NOTICE.md", _EMOJI / "OFL.txt"]),
}


def write_licences(folder: Path, license: str) -> None:
    """Write `LICENSE` and `NOTICE` into a folder.

    Args:
        folder: of a model, an adapter or a dataset.
        license: `gemma`, `mit` or `apache-2.0`.
    """
    text, notices = _FILES[license]
    shutil.copyfile(text, folder / "LICENSE")
    parts = [notice.read_text(encoding="utf-8").strip() for notice in notices]
    (folder / "NOTICE").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
