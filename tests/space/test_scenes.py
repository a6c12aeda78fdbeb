"""Scenes that visitors arrange: what a page sends is read strictly, and drawn where it says."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from modeling_florenz.cli.space import find_app


if importlib.util.find_spec("gradio") is None:
    pytest.skip("gradio is not installed: pip install .[space]", allow_module_level=True)


@pytest.fixture(scope="module")
def scenes() -> Iterator[Any]:
    sys.path.insert(0, str(find_app().parent))
    yield importlib.import_module("scenes")
    sys.path.remove(str(find_app().parent))


def _thing(emoji: str, x: Any, y: Any = 0.5) -> dict[str, Any]:
    return {"emoji": emoji, "x": x, "y": y}


def test_things_are_read_from_left_to_right_and_kept_inside(scenes: Any) -> None:
    read = scenes.read_arrangement({"things": [_thing("🐕", 7), _thing("🚲", 0.2)], "background": "red"})
    assert [thing.emoji for thing in read.things] == ["🚲", "🐕"] and read.things[1].x == 1
    assert scenes.read_arrangement(read.asked()) == read


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"things": [], "background": "red"}, "1 to 3 things, not 0"),
        ({"things": [_thing("🐕", 0.5)] * 4, "background": "red"}, "1 to 3 things, not 4"),
        ({"things": [_thing("🐕", float("nan"))], "background": "red"}, "no place"),
        ({"things": [5], "background": "red"}, "no place"),
        ({"things": [_thing("🐕", 0.5)], "background": "pink"}, "the background is pink"),
        ("scene", "1 to 3 things, not 0"),
    ],
)
def test_a_scene_that_cannot_be_is_one_sentence(scenes: Any, asked: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        scenes.read_arrangement(asked)


def test_a_thing_is_drawn_where_it_was_put_and_left_out_alone(scenes: Any) -> None:
    arranged = scenes.Arrangement((scenes.Thing("🐕", 0.2, 0.5), scenes.Thing("🚲", 0.8, 0.5)), "green")
    whole, (without_dog, without_bicycle) = scenes.ArrangedWorld(arranged).draw()
    middle = scenes.SIDE // 2
    for picture, changed, same in (
        (without_dog, slice(0, middle), slice(middle, None)),
        (without_bicycle, slice(middle, None), slice(0, middle)),
    ):
        difference = np.asarray(whole, int) - np.asarray(picture, int)
        assert difference[:, changed].any() and not difference[:, same].any()
    with pytest.raises(ValueError, match="^x is not a thing"):
        scenes.ArrangedWorld(scenes.Arrangement((scenes.Thing("x", 0.2, 0.5),), "green")).draw()
