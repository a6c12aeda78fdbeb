"""Where the words are: README, and the manual of each folder."""

from pathlib import Path


ROOT = Path(__file__).parents[2]
FOLDERS = [
    *sorted({path.parent for path in (ROOT / "modeling_florenz").glob("*/__init__.py")}),
    ROOT / "tests",
    ROOT / "hub_cards",
    ROOT / "space",
]
PAGE = ROOT / "hub_cards" / "studies" / "README.md"
MANUALS = [ROOT / "README.md", *(folder / "README.md" for folder in FOLDERS), PAGE]
