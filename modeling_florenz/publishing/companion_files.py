"""Put the papers of what is published beside its weights: card, licence files, pictures, results."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..card_template import HUB, OWNER, read_facts
from ..checkpoint.licences import write_licences
from ..checkpoint.loading import BUNDLED_MODEL
from ..sizes import SIZES


# What the Hub reads beside a card, by the ending of its rendered file: scores of a model, tasks of a benchmark.
HUB_FILES = {"eval_results.yaml": ".eval_results/emoji_scenes.yaml", "eval.yaml": "eval.yaml"}


def write_papers(folder: Path, name: str, target: Path) -> list[Path]:
    """Write the committed card of a published model, its licence files and what the card links to into its folder.

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
    written = [target / file for file in ("README.md", "LICENSE", "NOTICE")]
    write_licences(target, read_facts(folder, size)["license"] if size in SIZES else "apache-2.0")
    for path, place in _named(folder, text, name):
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / place)
        written.append(target / place)
    return written


def _named(folder: Path, text: str, name: str) -> Iterator[tuple[Path, str]]:
    """Yield the files that a card shows or links to, and what the Hub reads beside it, with their places."""
    places = {"sample.png": BUNDLED_MODEL / "sample.png"}
    places |= {path.name: path for path in (folder / "images").iterdir()}
    for kind in ("results", "studies"):
        places |= {f"{kind}/{path.name}": path for path in (folder / kind).iterdir()}
    linked = set(re.findall(rf"{HUB}/(?:datasets/)?{OWNER}/{name}/(?:resolve|blob)/main/([\w./-]+)", text))
    linked |= set(re.findall(r'"(sample\.png)"', text))
    for place in sorted(linked & places.keys()):
        yield places[place], place
    for ending, place in HUB_FILES.items():
        if (path := folder / "rendered" / f"{name}.{ending}").is_file():
            yield path, place
