"""Captions by way of English: written in English first, then translated beside the image by the same model."""

import json
from dataclasses import replace

import pytest
from evaluated_models import GREEDY, Stub, florence, nllb, write_samples

from modeling_florenz.cli import main
from modeling_florenz.evaluation.benchmarks import BENCHMARKS
from modeling_florenz.evaluation.run import EvaluationOptions, run_benchmark
from modeling_florenz.inference.captioner import Captioner
from modeling_florenz.inference.evaluated import SearchProtocol
from modeling_florenz.resumable import JsonLines


pytestmark = pytest.mark.filterwarnings("ignore:.*were published")
VIA = replace(GREEDY, via="en", max_new_tokens=64)


def test_a_caption_is_the_translation_of_the_english_one_beside_the_image(tmp_path):
    command = ["evaluate", "florenz-tiny", "--benchmark", "emoji_scenes", "--languages", "fr,zh", "--split", "caption"]
    command += ["--limit", "3", "--beams", "1", "--no-repeat-ngram-size", "0", "--max-new-tokens", "64"]
    assert main([*command, "--via", "en", "--output", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "emoji_scenes.json").read_text())
    assert results["protocol"]["via"] == "en"
    assert set(results["scores"]) == {"caption/fr", "caption/zh"}
    captioner = Captioner()
    for language in ("fr", "zh"):
        kept = JsonLines(tmp_path / "emoji_scenes" / f"caption.{language}.scene.jsonl", "key").entries
        scenes = BENCHMARKS["emoji_scenes"].rows(tmp_path, "caption", language, limit=3)
        rows = [scenes[index] for index in range(3)]
        images = [row["image"] for row in rows]
        english = captioner.caption(images, "en", num_beams=1)
        wanted = captioner.translate(images, english, language, num_beams=1)
        assert [kept[row["key"]]["text"] for row in rows] == wanted


def test_the_model_is_asked_for_english_and_then_for_the_translation(tmp_path):
    asked = []

    def write(row):
        asked.append((row["task"], row["language"], row["source"]))
        return f"{row['task']} in {row['language']}"

    data = write_samples(tmp_path / "data", "xm3600", ["pt"], "test")
    model = Stub(text=write, languages=["en", "pt"])
    options = EvaluationOptions("stub", data, tmp_path / "out", VIA, limit=1)
    results = run_benchmark("xm3600", model, options)
    assert asked == [("caption", "en", ""), ("translate", "pt", "caption in en")]
    assert list(results["scores"]) == ["test/pt"]


def test_predictions_of_another_way_are_not_mixed(tmp_path):
    data = write_samples(tmp_path / "data", "multi30k_captions", ["de"], "test_2016")
    options = EvaluationOptions("stub", data, tmp_path / "out", GREEDY, languages=["de"])
    run_benchmark("multi30k_captions", Stub(), options)
    with pytest.raises(ValueError, match=r"holds predictions with other settings \(via\): give another --output"):
        run_benchmark("multi30k_captions", Stub(), replace(options, protocol=replace(GREEDY, via="en")))


BAD = {
    "another language": (["--benchmark", "emoji_scenes", "--via", "de"], "via must be en, not 'de'"),
    "prefix": (["--benchmark", "emoji_scenes", "--via", "en", "--prefix", "on"], "prefix is on beside via en"),
    "translations": (["--benchmark", "commute", "--via", "en"], "commute has no captions in languages other than en"),
    "English alone": (["--benchmark", "docci", "--via", "en"], "docci has no captions in languages other than en"),
    "English": (
        ["--benchmark", "emoji_scenes", "--via", "en", "--languages", "en"],
        "captions in en do not go by way of en",
    ),
    "a split of translations": (
        ["--benchmark", "emoji_scenes", "--via", "en", "--split", "translate"],
        "translate of emoji_scenes holds no captions: leave via out",
    ),
    "losses": (
        ["--benchmark", "emoji_scenes", "--via", "en", "--loss", "--limit", "1", "--split", "caption"],
        "florenz-tiny by way of English has no cross-entropies: leave --loss out",
    ),
}


@pytest.mark.parametrize("case", list(BAD))
def test_a_way_that_cannot_be_gone_is_refused_in_one_sentence(case, tmp_path, capsys):
    arguments, words = BAD[case]
    code = main(["evaluate", "florenz-tiny", "--beams", "1", "--output", str(tmp_path), *arguments])
    assert code == 2
    message = capsys.readouterr().err
    assert words in message
    assert "Traceback" not in message


def test_a_model_that_cannot_caption_in_english_or_translate_is_refused(tmp_path):
    data = write_samples(tmp_path / "data", "multi30k_captions", ["de"], "test_2016")
    options = EvaluationOptions("tiny", data, tmp_path / "out", VIA)
    with pytest.raises(ValueError, match="writes de, fr and so cannot caption in English first"):
        run_benchmark("multi30k_captions", Stub(languages=["de", "fr"]), options)
    with pytest.raises(ValueError, match="tiny writes , and"):
        run_benchmark("multi30k_captions", florence(), options)
    with pytest.raises(ValueError, match="a translator alone cannot caption"):
        run_benchmark("multi30k_captions", nllb(), options)


def test_a_protocol_by_way_of_another_language_than_english_is_refused():
    with pytest.raises(ValueError, match="via must be en, not 'fr': only English is translated"):
        SearchProtocol(via="fr")
