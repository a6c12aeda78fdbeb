"""Comparing two models: a real difference is told apart from none, and only what was measured alike is compared."""

import json
from dataclasses import replace

import pytest
from evaluated_models import GREEDY, Stub, write_samples

from modeling_florenz.cli import main
from modeling_florenz.evaluation.compare import compare
from modeling_florenz.evaluation.run import EvaluationOptions, run_benchmark


def _scenes(folder, name, share=3, **more):
    model = Stub(text=lambda row: row["target"] if int(row["key"]) % 10 < share else "x")
    options = EvaluationOptions(name, folder, folder / name, GREEDY, ["de"], ["caption"], limit=60)
    run_benchmark("emoji_scenes", model, replace(options, **more))


def test_compare_tells_a_real_difference_from_none(tmp_path, capsys):
    for name, share in (("worse", 3), ("better", 9), ("same", 3)):
        _scenes(tmp_path, name, share)
    assert main(["compare", str(tmp_path / "worse"), str(tmp_path / "better")]) == 0
    text = capsys.readouterr().out
    assert text.startswith("emoji_scenes: better against worse\n")
    assert "caption/de exact: +60.00" in text
    assert "a real difference" in text
    assert main(["compare", str(tmp_path / "worse"), str(tmp_path / "same")]) == 0
    assert "no real difference" in capsys.readouterr().out
    assert main(["compare", str(tmp_path / "worse"), str(tmp_path)]) == 2


def test_what_was_not_measured_alike_is_refused_in_one_sentence(tmp_path):
    _scenes(tmp_path, "one")

    def refused(other):
        with pytest.raises(ValueError) as found:
            list(compare(tmp_path / "one", tmp_path / other, tmp_path))
        return str(found.value)

    _scenes(tmp_path, "shorter", limit=30)
    assert refused("shorter") == "emoji_scenes.json: one was measured on 60 rows and the other not: run both alike"
    _scenes(tmp_path, "french", languages=["fr"])
    assert "the two have no part in common: run both on the same languages and splits" in refused("french")
    _scenes(tmp_path, "torn")
    path = tmp_path / "torn" / "emoji_scenes" / "caption.de.scene.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert "caption.de.scene.jsonl lacks 59: run florenz evaluate again" in refused("torn")
    report = tmp_path / "one" / "emoji_scenes.json"
    report.write_text(json.dumps({**json.loads(report.read_text()), "benchmark": "multi30k_captioning"}))
    _scenes(tmp_path, "same")
    assert refused("same") == "multi30k_captioning is called multi30k_captions: use that name"
    report.write_text("{}")
    assert "is not a result of florenz evaluate" in refused("same")


@pytest.mark.filterwarnings("ignore:.*were published")
def test_captions_are_compared_in_the_words_they_were_measured_in(tmp_path):
    data = write_samples(tmp_path / "data", "xm3600", ["zh"], "test")
    options = EvaluationOptions("one", data, tmp_path / "one", GREEDY, languages=["zh"])
    run_benchmark("xm3600", Stub(), options)
    run_benchmark("xm3600", Stub(), replace(options, model="two", output=tmp_path / "two", segmentation="ptb"))
    with pytest.raises(ValueError, match="test/zh of xm3600 was cut into words by words and by ptb: run both alike"):
        list(compare(tmp_path / "one", tmp_path / "two", data))
    run_benchmark("xm3600", Stub(), replace(options, model="three", output=tmp_path / "three"))
    [comparison] = compare(tmp_path / "one", tmp_path / "three", data)
    assert {difference.measure for difference in comparison.differences} == {"cider", "bleu_4", "rouge_l", "language"}
    assert all(difference.value == 0 for difference in comparison.differences)
