"""What the sources of translations hide, on 5,000 draws, or slowly 20,000, for each arm of the experiment."""

import random
import re
from functools import cache
from pathlib import Path

import pytest

from modeling_florenz.data.emoji_scenes.world import EmojiWorld
from modeling_florenz.data.hiding import Hiding
from modeling_florenz.scaling.arms import hidden_half, read_experiment


REGISTRATION = Path(__file__).parents[2] / "hub_cards" / "studies" / "preregistration.yaml"
DRAWS = (5_000, pytest.param(20_000, marks=pytest.mark.slow))


@pytest.fixture(scope="module")
def experiment():
    return read_experiment(REGISTRATION)


@pytest.fixture(scope="module")
def world():
    return EmojiWorld()


@pytest.fixture(scope="module", params=DRAWS)
def draws(request):
    return request.param


@pytest.fixture(scope="module")
def translations(experiment, world, draws):
    """List the translations among the draws of an arm: row, things, and whether the source names each."""

    @cache
    def listed(letter):
        coverage = experiment.arms[letter].coverage(world)
        return list(draw(coverage))

    def draw(coverage):
        for index in range(draws):
            row = world.training_texts(index, coverage, seed=0)
            if row["task"] == "translate":
                things = [world.nouns[noun] for noun in row["scene"].nouns]
                words = re.split(r"[.,:] *| and ", row["source"].lower().replace("a picture of ", ""))
                yield row, things, [thing.names["en"].lower() in words for thing in things]

    return listed


def test_plain_sources_name_everything(translations):
    assert all(all(named) for _, _, named in translations("a"))


@pytest.mark.parametrize("letter", ["b", "f", "g", "i"])
def test_partial_hiding_names_at_least_one_thing_and_all_where_there_is_one(translations, draws, letter):
    hidden = 0
    for row, things, named in translations(letter):
        assert any(named)
        assert len(things) > 1 or all(named)
        assert row["hidden"] == named.count(False)
        hidden += named.count(False)
    assert hidden > draws / 10


@pytest.mark.parametrize("letter", ["g", "i"])
def test_a_noun_outside_the_hidden_half_is_never_missing_from_a_source(translations, world, letter):
    half = set(hidden_half(world))
    for _, things, named in translations(letter):
        assert all(known or thing.key in half for thing, known in zip(things, named, strict=True))


def test_hiding_in_french_hides_nothing_elsewhere_and_as_much_in_french(translations, draws):
    french = {"b": 0, "e": 0}
    for letter in french:
        for row, _, named in translations(letter):
            if row["language"] == "fr":
                french[letter] += named.count(False)
            elif letter == "e":
                assert all(named)
    assert french["e"] == french["b"] > draws / 40


def test_whole_hiding_is_all_or_nothing_at_the_share_of_independent_hiding(translations, draws):
    shares, tolerance = {}, (20_000 / draws) ** 0.5
    for letter in ("c", "d"):
        rows = list(translations(letter))
        shares[letter] = sum(not any(named) for _, _, named in rows) / len(rows)
        if letter == "c":
            assert all(any(named) is all(named) for _, _, named in rows)
    assert shares["c"] == pytest.approx(shares["d"], abs=0.015 * tolerance)
    assert shares["d"] == pytest.approx(0.208, abs=0.01 * tolerance)


def test_arms_see_the_same_scenes_tasks_languages_and_targets_in_the_same_order(experiment, world):
    def order(letter):
        coverage = experiment.arms[letter].coverage(world)
        rows = (world.training_texts(index, coverage, seed=1) for index in range(500))
        return [(row["key"], row["task"], row["language"], row["target"]) for row in rows]

    assert all(order(letter) == order("a") for letter in experiment.arms)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "some"}, "hiding must be one of none, independent, partial, whole, not 'some'"),
        ({"share": 0.4}, "grounding is 0.4 but hiding is none"),
        ({"mode": "partial"}, "hiding is partial but grounding is 0"),
        ({"mode": "whole", "share": 1.5}, "grounding must be a share from 0 to 1, not 1.5"),
        ({"languages": ("fr",)}, "hiding_languages is fr but hiding is none"),
        ({"things": ("dog",)}, "hidden_things is dog but hiding is none"),
    ],
)
def test_contradictory_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Hiding(**settings)


def test_a_source_with_a_thing_that_must_not_be_hidden_is_never_hidden_whole():
    hiding = Hiding("whole", 1.0, things=("dog",))
    assert hiding.choose(["dog"], "de", random.Random(0)) == [True]
    assert hiding.choose(["dog", "cat"], "de", random.Random(0)) == [False, False]
