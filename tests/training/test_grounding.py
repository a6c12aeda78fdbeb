"""Hiding words of a source."""

import random

import pytest

from modeling_florenz.data.hiding import Hiding
from modeling_florenz.training.grounding import ground, hide_words


ALL = Hiding("independent", 1.0)
HALF = Hiding("independent", 0.5)


def test_all_content_words_hidden_leave_the_grammar():
    assert hide_words("Two men are playing football in the snow.", ALL, "de", random.Random(0)) == (
        "Two something are something in the something."
    )


def test_neighbours_melt_into_one():
    assert hide_words("a big brown dog runs", ALL, "de", random.Random(0)) == "a something"


def test_nothing_is_hidden_at_zero_and_markup_is_text():
    text = "A {source} of <s> and %s, don't!"
    assert hide_words(text, Hiding(), "de", random.Random(0)) == text
    assert ground(text, Hiding(), 0.0, "de", random.Random(0)) == text


@pytest.mark.parametrize("probability", [0.2, 0.6])
def test_the_share_of_hidden_words_is_the_one_asked_for(probability):
    words = ["dog.", "cat.", "bus.", "tree."] * 2000
    hidden = hide_words(" ".join(words), Hiding("independent", probability), "de", random.Random(1)).count("something")
    assert abs(hidden / len(words) - probability) < 0.02


def test_a_whole_source_is_hidden_as_often_as_asked():
    rng = random.Random(3)
    hidden = sum(ground("A dog.", Hiding(), 0.25, "de", rng) == "something" for _ in range(8000))
    assert abs(hidden / 8000 - 0.25) < 0.02


def test_the_same_state_hides_the_same_words():
    text = "A man throws a red ball to a small dog near the lake."
    assert hide_words(text, HALF, "de", random.Random(7)) == hide_words(text, HALF, "de", random.Random(7))
    assert len({hide_words(text, HALF, "de", random.Random(seed)) for seed in range(20)}) > 10
