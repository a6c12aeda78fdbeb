"""Put the papers of what is published beside its weights: card, licence files, pictures."""

import shutil
from pathlib import Path

from ..card_template import read_facts
from ..checkpoint.licences import write_licences
from ..checkpoint.loading import BUNDLED_MODEL
from ..sizes import SIZES


def write_papers(folder: Path, name: str, target: Path) -> list[Path]:
    """Write the committed card of a published model, its licence files and its pictures into its folder.

    Args:
        folder: `hub_cards`.
        name: as on the Hub, without its owner.
        target: where the weights are.

    Raises:
        ValueError: the name is not published, or the target is not a folder.
    """
    known = sorted(path.stem for path in (folder / "rendered").glob("*.md"))
    if name not in known:
        raise ValueError(f"{name!r} is not published: use one of {', '.join(known)}")
    if not target.is_dir():
        raise ValueError(f"{target} is not a folder: give the one that holds {name}")
    shutil.copyfile(folder / "rendered" / f"{name}.md", target / "README.md")
    text = (target / "README.md").read_text(encoding="utf-8")
    size = name.removeprefix("florenz-").removesuffix("-ft")
    write_licences(target, read_facts(folder, size)["license"] if size in SIZES else "apache-2.0")
    pictures = [BUNDLED_MODEL / "sample.png", *sorted((folder / "images").iterdir())]
    pictures = [path for path in pictures if f'"{path.name}"' in text or f"/{name}/resolve/main/{path.name}" in text]
    for path in pictures:
        shutil.copyfile(path, target / path.name)
    return [target / file for file in ("README.md", "LICENSE", "NOTICE", *(path.name for path in pictures))]
