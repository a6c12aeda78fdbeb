"""Fill a card's template with metadata and values, and check that nothing is left open.

Templates, facts, result files and pictures are in `hub_cards`: no card holds a number typed by hand.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

from huggingface_hub import CardData, DatasetCard, ModelCard

from .yaml_files import read_yaml


HUB = "https://huggingface.co"
OWNER = "modeling-florenz"
PAPER = "https://arxiv.org/abs/2503.09443"
LANGUAGES = ["en", "de", "fr", "es", "ru", "zh"]
TAGS = ["florenz", "image-captioning", "multimodal-translation", "multilingual", "florence-2", "custom_code"]
# A shell's `$HOME` is none: fields of templates are lower-case.
UNFILLED = re.compile(r"\$[a-z_]+|\{\{.*?\}\}|\bTODO\b|More Information Needed|PATH_OR_REPO|\bOWNER/")


def find_cards() -> Path:
    """Find `hub_cards`: beside the package in a clone, or inside an installed package.

    Raises:
        ValueError: there is none.
    """
    package = Path(__file__).parent
    for folder in (package.parent / "hub_cards", package / "hub_cards"):
        if (folder / "templates").is_dir():
            return folder
    raise ValueError("this installation holds no templates of cards: install modeling-florenz from a wheel or a clone")


def read_facts(folder: Path, name: str) -> dict[str, Any]:
    """Read what only people know of a card's subject, from `facts/NAME.yaml`."""
    path = folder / "facts" / f"{name}.yaml"
    if not path.is_file():
        raise ValueError(f"{path} does not exist: write the facts of {name}")
    return read_yaml(path)


def read_results(folder: Path, name: str) -> dict[str, Any]:
    """Read what was measured or reported, from `results/NAME.json`."""
    path = folder / "results" / f"{name}.json"
    if not path.is_file():
        raise ValueError(f"{path} does not exist: measure {name}, or take a clone that holds it")
    return json.loads(path.read_text(encoding="utf-8"))


def fill(folder: Path, template: str, metadata: CardData, values: dict[str, str]) -> str:
    """Fill `templates/TEMPLATE.md`; `citation` is known to every template.

    Raises:
        ValueError: the template asks for a value that is not given, or the card is not complete.
    """
    templates = folder / "templates"
    values = {"citation": (templates / "citation.md").read_text(encoding="utf-8")} | values
    text = Template((templates / f"{template}.md").read_text(encoding="utf-8"))
    try:
        body = text.substitute({name: value.strip() for name, value in values.items()})
    except KeyError as error:
        raise ValueError(f"the template {template} asks for {error}, which is not given: add it") from None
    card = f"---\n{metadata.to_yaml()}\n---\n\n{body}"
    check_card(card)
    return card


def table(rows: Sequence[tuple[str, ...]], head: tuple[str, ...] | None = None) -> str:
    """Lay rows out as a Markdown table; without a head, its rows alone."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)] if head else []
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def linked(text: str, repository: str) -> str:
    """Fill in where the files of a repository are shown, which facts call `$files`."""
    return text.replace("$files", f"{HUB}/{repository}/blob/main")


def captions_table(captions: dict[str, str], repository: str) -> str:
    """Lay the sample image of a repository above its captions by language."""
    picture = f"![A dog, a bicycle and a palm tree]({HUB}/{repository}/resolve/main/sample.png)"
    return f"{picture}\n\n{table(list(captions.items()), ('language', 'what it writes'))}"


def captions_snippet(repository: str, loading: str, options: str = "") -> str:
    """Return the Python block that captions the sample image of a repository in every language.

    Args:
        repository: where the image is.
        loading: the arguments of `Captioner`.
        options: further arguments of `caption_languages`.
    """
    return (
        "```python\nfrom huggingface_hub import hf_hub_download\nfrom modeling_florenz import Captioner\n\n"
        f'image = hf_hub_download("{repository}", "sample.png")\n'
        f"print(Captioner({loading}).caption_languages([image]{options})[0])\n```"
    )


def coverage(unseen: str) -> str:
    """Return the rows of tasks and languages; `unseen` says how captions in fr, es, ru, zh were learned."""
    rows = [("caption", "en, de", "yes"), ("caption", "fr, es, ru, zh", unseen)]
    return table([*rows, ("translate", "de, fr, es, ru, zh", "yes")])


def check_card(text: str) -> None:
    """Refuse a card whose metadata does not survive reading, or in which a field is unfilled.

    Raises:
        ValueError: what is wrong, in one sentence.
    """
    is_dataset = bool(re.search(r"^(task_categories|configs):", text.partition("\n---\n")[0], re.MULTILINE))
    kind: type[ModelCard] | type[DatasetCard] = DatasetCard if is_dataset else ModelCard
    card = kind(text)
    again = kind(f"---\n{card.data.to_yaml()}\n---\n")
    if again.data.to_dict() != card.data.to_dict():
        raise ValueError("the metadata of the card changes when it is read and written: fix its values")
    known = card.data.to_dict()
    wanted = ("task_categories", "size_categories") if is_dataset else ("library_name", "pipeline_tag")
    for field in ("language", "license", *wanted):
        if not known.get(field):
            raise ValueError(f"the card has no {field}: fill it")
    if unfilled := UNFILLED.search(card.text):
        raise ValueError(f"the card has the unfilled field {unfilled[0]}: fill it")
