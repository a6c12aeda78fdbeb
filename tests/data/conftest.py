"""Share the emoji worlds among the tests of the data."""

import pytest

from modeling_florenz.data.emoji_scenes.world import EmojiWorld


@pytest.fixture(scope="module")
def world() -> EmojiWorld:
    return EmojiWorld()


@pytest.fixture(scope="module")
def everything() -> EmojiWorld:
    return EmojiWorld("all")
