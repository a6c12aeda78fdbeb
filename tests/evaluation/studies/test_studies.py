"""Each study finds what the bundled model knows and an untrained one does not, and goes on after a kill."""

import json
import sys

import numpy as np
import pytest

from modeling_florenz.checkpoint.loading import load
from modeling_florenz.data.emoji_scenes.wording import LANGUAGES, PREFIXES
from modeling_florenz.data.emoji_scenes.world import EmojiWorld
from modeling_florenz.evaluation.studies import calibration, prefix_dose, word_to_thing
from modeling_florenz.evaluation.studies.study import measure_models, parse


WORLD = EmojiWorld()
SCENE = WORLD.scene("test", 0, seed=7)


def test_words_are_tied_to_their_things_and_an_untrained_model_is_at_chance():
    shares = word_to_thing.measure(load(), 12)["shares"]
    for language in LANGUAGES:
        assert shares["trained"][language]["right"] >= 0.97
        assert shares["trained"][language]["attention"] > shares["trained"][language]["chance"]
    untrained = np.mean([row["right"] for row in shares["untrained"].values()])
    assert abs(untrained - shares["untrained"]["en"]["chance"]) < 0.25


def test_a_thing_covers_as_much_of_the_grid_as_of_the_image():
    areas = word_to_thing.thing_areas(WORLD, SCENE, 6)
    sizes = [size for _, _, size in WORLD.layout(SCENE)]
    assert areas.sum(1).tolist() == pytest.approx([size**2 * 36 / 96**2 for size in sizes], rel=1e-5)
    assert areas.min() >= 0 and areas.max() <= 1


def test_a_cover_hides_nothing_at_first_and_a_whole_thing_at_last():
    whole, bare = np.asarray(WORLD.render(SCENE)), np.asarray(WORLD.render(SCENE, [1]))
    covered = [np.asarray(calibration.cover(WORLD, SCENE, 1, share)) for share in (0.0, 0.5, 1.0)]
    assert (covered[0] == whole).all() and (covered[2] == bare).all()
    different = [int((image != whole).any(-1).sum()) for image in covered]
    assert 0 < different[1] < different[2]


@pytest.mark.slow
def test_names_are_surer_than_they_are_right_where_half_of_a_thing_is_covered():
    found = calibration.measure(load(), 8)["languages"]
    assert set(found) == set(LANGUAGES)
    ece = {share: np.mean([row["covered"][share]["ece"] for row in found.values()]) for share in ("0", "0.5")}
    assert ece["0"] < 0.05 < ece["0.5"]
    for row in found.values():
        assert row["all"]["names"] == sum(bin_["names"] for bin_ in row["all"]["bins"])


@pytest.mark.slow
def test_a_prefix_of_another_language_turns_a_caption_into_that_language():
    found = prefix_dose.measure(load(), 4)
    for language in LANGUAGES:
        right, wrong = found["right"][language], found["wrong"][language]
        assert len(right) == len(PREFIXES[language].split()) + 1
        assert (
            right[0]["language"] == right[-1]["language"] == 1 and min(right[0]["things"], right[-1]["things"]) > 0.8
        )
        assert wrong[-1]["language"] < 0.5 and wrong[-1]["other"] > 0.5
    assert found["reproduced"] == {}  # nothing is left to lift


def test_what_was_measured_is_kept_until_all_is(tmp_path, capsys):
    output = tmp_path / "results.json"
    arguments = parse("", 3, ["--model", "a=florenz-tiny", "--model", "b=florenz-tiny", "--output", str(output)])
    calls = []

    def measure(loaded, count):
        calls.append(count)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return {"value": count}

    with pytest.raises(KeyboardInterrupt):
        measure_models(arguments, "trial", "none", measure)
    assert not output.exists()
    report = measure_models(arguments, "trial", "none", measure)
    assert len(calls) == 3  # of a, of b in vain, of b again
    assert json.loads(output.read_text()) == report
    assert report["label"] == "measured-here" and report["command"] and list(report["models"]) == ["a", "b"]
    assert [path.name for path in tmp_path.glob("[!.]*")] == ["results.json"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--model", "florenz-tiny"], "'florenz-tiny' is not NAME=FOLDER"),
        (["--scenes", "0"], "'0' is not a whole number of at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(monkeypatch, capsys, options, sentence):
    monkeypatch.setattr(sys, "argv", ["prefix_dose", "--output", "results.json", *options])
    with pytest.raises(SystemExit) as stop:
        prefix_dose.main()
    assert stop.value.code == 2 and sentence in capsys.readouterr().err
