"""Pictures of the cards and of README come from the result files, byte for byte the same each time."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from modeling_florenz.publishing.idea_picture import LIGHT, draw_idea
from modeling_florenz.publishing.pictures import main


CARDS = Path(__file__).parents[2] / "hub_cards"
NAMES = ("architecture.png", "coverage.png", "idea-dark.png", "idea.png")


def _difference(one: Image.Image, other: Image.Image) -> float:
    """Return the mean difference of two pictures, from 0 to 255."""
    assert one.size == other.size
    return max(ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).mean)


@pytest.mark.slow
def test_a_second_drawing_is_equal_and_the_committed_ones_are_up_to_date(tmp_path):
    for folder in (tmp_path / "first", tmp_path / "second"):
        folder.mkdir()
        main(folder)
    for name in NAMES:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name
        # Another Pillow may draw letters a little differently.
        difference = _difference(Image.open(tmp_path / "first" / name), Image.open(CARDS / "images" / name))
        assert difference < 0.5, f"{name}: run python -m modeling_florenz.publishing.pictures hub_cards/images"


@pytest.mark.slow
def test_the_picture_of_the_idea_follows_the_results(tmp_path):
    shutil.copytree(CARDS / "results", tmp_path / "results")
    before = draw_idea(tmp_path, LIGHT)
    path = tmp_path / "results" / "pivot.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    report["models"]["plain recipe"]["fr"]["direct"] = 0.4
    path.write_text(json.dumps(report), encoding="utf-8")
    assert _difference(before, draw_idea(tmp_path, LIGHT)) > 0.5
