"""The registered bars, decided from rows whose numbers are known."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from modeling_florenz.data.emoji_scenes.wording import LANGUAGES
from modeling_florenz.data.emoji_scenes.world import EmojiWorld
from modeling_florenz.scaling.arms import hidden_half, read_experiment
from modeling_florenz.scaling.bars import decide
from modeling_florenz.scaling.comparison import UNTAUGHT, estimate, scene_scores
from modeling_florenz.scaling.controls_page import page, results
from modeling_florenz.scaling.controls_picture import draw
from modeling_florenz.scaling.measure import measured_scenes
from modeling_florenz.scaling.run import finished


REGISTRATION = Path(__file__).parents[2] / "hub_cards" / "studies" / "preregistration.yaml"
SCENES = 200


def row(letter="a", seed=0, never=1.0, half=1.0, language=1.0, pivot=1.0, prefix=None, languages=UNTAUGHT):
    """Build the row of a run that is right in the given shares of scenes in some languages, and always in others."""

    def digits(first: float, second: float) -> str:
        halves = [round(share * SCENES / 2) for share in (first, second)]
        return "".join("1" * right + "0" * (SCENES // 2 - right) for right in halves)

    def cells(exact: tuple[float, float], spoken: float) -> dict[str, dict[str, str]]:
        return {
            code: {
                "exact": digits(*(exact if code in languages else (1.0, 1.0))),
                "things": digits(*(exact if code in languages else (1.0, 1.0))).replace("1", "2"),
                "language": digits(spoken, spoken),
            }
            for code in LANGUAGES
        }

    return {
        "arm": letter,
        "seed": seed,
        "hidden": {},
        "core_seconds": {"all": 3600},
        "nouns": "2" * SCENES,
        "cells": {
            "direct": cells((never, half), language),
            "prefix": cells((never, half), language if prefix is None else prefix),
            "pivot": cells((pivot, pivot), 1.0),
            "translate": cells((1.0, 1.0), 1.0),
        },
    }


def rows(*found):
    return {(entry["arm"], entry["seed"]): entry for entry in found}


def test_scores_are_split_by_the_half_of_the_nouns():
    entry = row(never=0.25, half=0.75)
    assert scene_scores(entry, "direct", "things", UNTAUGHT).mean() == pytest.approx(0.5)
    assert scene_scores(entry, "direct", "things", UNTAUGHT, "never hidden").mean() == pytest.approx(0.25)
    assert scene_scores(entry, "direct", "things", UNTAUGHT, "hidden half").mean() == pytest.approx(0.75)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    found = [estimate((rng.random(300) < 0.3).astype(float)) for _ in range(200)]
    assert 0.89 < np.mean([entry.low <= 0.3 <= entry.high for entry in found]) <= 0.99


@pytest.mark.parametrize(
    ("name", "letter", "passing", "failing"),
    [
        ("carries_over_to_other_nouns", "g", {"never": 0.9}, {"half": 1.0, "never": 0.55}),
        ("carries_over_to_other_languages", "e", {}, {"languages": ("es", "ru", "zh"), "never": 0.5, "half": 0.5}),
        ("real_transfer", "i", {"never": 0.8}, {"never": 0.5, "half": 1.0}),
    ],
)
def test_a_gain_over_plain_must_be_sure_and_in_every_seed(name, letter, passing, failing):
    plain = [row("a", seed, never=0.5, half=0.5) for seed in (0, 1)]
    good, bad = (row(letter, 0, **passing), row(letter, 1, **passing)), row(letter, 1, **failing)
    assert decide(name, rows(*plain, *good), (0, 1)).holds is True
    assert decide(name, rows(*plain, good[0], bad), (0, 1)).holds is False
    assert decide(name, rows(*plain, good[0]), (0, 1)).holds is None
    assert decide(name, rows(*plain, bad), (0, 1)).holds is False


def test_partial_hiding_must_be_good_in_every_untaught_language():
    name = "needs_no_fully_hidden_source"
    assert decide(name, rows(row("b", never=0.97)), (0,)).holds
    assert not decide(name, rows(row("b", never=0.7, languages=("zh",))), (0,)).holds
    assert not decide(name, rows(row("b", language=0.98)), (0,)).holds


def test_another_image_may_gain_little():
    plain = row("a", never=0.5, half=0.5)
    assert decide("it_is_the_image", rows(plain, row("f", never=0.54, half=0.54)), (0,)).holds
    assert not decide("it_is_the_image", rows(plain, row("f", never=0.6, half=0.6)), (0,)).holds


def test_direct_is_compared_with_the_same_runs_pivot():
    close, far = row("h", never=0.97, half=0.97, pivot=0.98), row("h", never=0.9, half=0.9, pivot=0.98)
    assert decide("self_taught_is_enough", rows(close), (0,)).holds
    assert not decide("self_taught_is_enough", rows(far), (0,)).holds
    better, equal = row("b", pivot=0.9), row("b", never=0.9, half=0.9, pivot=0.9)
    assert decide("direct_beats_pivot", rows(better), (0,)).holds
    assert not decide("direct_beats_pivot", rows(equal), (0,)).holds


def test_a_prefix_must_lift_the_language_by_three_tenths():
    assert decide("prefix", rows(row(language=0.5, prefix=0.85)), (0,)).holds
    assert not decide("prefix", rows(row(language=0.8, prefix=0.9)), (0,)).holds


def test_an_unknown_bar_is_refused():
    with pytest.raises(ValueError, match="the bar 'nonsense' is unknown"):
        decide("nonsense", {}, (0,))


def test_every_registered_bar_can_be_decided():
    for name in yaml.safe_load(REGISTRATION.read_text(encoding="utf-8"))["bars"]:
        assert decide(name, {}, (0,)).holds is None


def test_measured_scenes_show_nouns_of_one_half_each():
    world = EmojiWorld()
    half = set(hidden_half(world))
    scenes = measured_scenes(world, 40)
    hidden = [{world.nouns[noun].key in half for noun in scene.nouns} for scene in scenes]
    assert hidden == [{False}] * 20 + [{True}] * 20


def test_the_page_tells_verdicts_and_what_is_missing(tmp_path):
    registration = yaml.safe_load(REGISTRATION.read_text(encoding="utf-8"))
    experiment = read_experiment(REGISTRATION)
    done = rows(row("a", never=0.5, half=0.5), row("a", 1, never=0.5, half=0.5), row("g"), row("g", 1))
    found = results(registration, experiment, done)
    text = page(registration, experiment, done, found)
    assert registration["bars"]["carries_over_to_other_nouns"]["holds"] in text
    assert registration["bars"]["prefix"]["fails"] in text
    assert "open: a run is missing" in text
    assert text.count("not run yet") == 7 * (len(experiment.runs()) - len(done))
    draw(experiment, found, tmp_path / "a.png")
    draw(experiment, found, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_rows_that_are_broken_or_doubled_are_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    line = json.dumps({"arm": "a", "seed": 0})
    path.write_text(f"{line}\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 2: arm a, seed 0 is there twice"):
        finished(path)
    path.write_text(f"{line}\n{line[:9]}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 2 is broken: remove that line"):
        finished(path)
