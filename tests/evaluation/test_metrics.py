"""Scores of captions and translations against published and golden values, and by hand."""

import gzip
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from modeling_florenz.evaluation.metrics.bootstrap import interval, paired_difference
from modeling_florenz.evaluation.metrics.caption_scores import (
    bleu_from_statistics,
    bleu_statistics,
    cider,
    corpus_bleu,
    rouge_l,
)
from modeling_florenz.evaluation.metrics.contrastive import contrastive_accuracy
from modeling_florenz.evaluation.metrics.language_identification import LanguageIdentifier
from modeling_florenz.evaluation.metrics.meteor import meteor
from modeling_florenz.evaluation.metrics.ptb import tokenize
from modeling_florenz.evaluation.metrics.segmentation import segment
from modeling_florenz.evaluation.metrics.translation_scores import sacrebleu_score


SHARED = Path(__file__).parents[3] / "shared" / "data"
GOLDEN = SHARED / "metrics"
needs_golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="../shared/data/metrics is missing")


def _golden(name):
    return json.loads((GOLDEN / f"golden_{name}.json").read_text(encoding="utf-8"))


def _task2(language):
    folder = SHARED / "multi30k" / "task2"
    files = [folder / f"test_2016.{number}.{language}.gz" for number in range(1, 6)]
    lines = [gzip.decompress(path.read_bytes()).decode().split("\n") for path in files]
    return [list(texts) for texts in zip(*(text[:1000] for text in lines), strict=True)]


@needs_golden
def test_words_are_those_of_the_coco_evaluation_on_every_golden_string():
    for case in _golden("ptb_tokenizer")["cases"]:
        assert tokenize(case["in"]) == case["out"]
    for language in ("en", "de"):
        golden = _golden("multi30k_task2_test2016")[f"{language}_50"]
        for texts, hypothesis, references in zip(
            _task2(language), golden["tok_hyp"], golden["tok_refs"], strict=False
        ):
            assert [tokenize(text.strip()) for text in texts] == [hypothesis, *references]


@needs_golden
@pytest.mark.parametrize("language", ["en", "de"])
def test_caption_scores_are_the_golden_ones_over_the_corpus_and_by_image(language):
    captions = [[segment(text.strip(), language, "ptb") for text in texts] for texts in _task2(language)]
    for count in (50, 1000):
        golden = _golden("multi30k_task2_test2016")[f"{language}_{count}"]
        candidates = [texts[0] for texts in captions[:count]]
        references = [texts[1:] for texts in captions[:count]]
        bleu, bleu_each = corpus_bleu(candidates, references)
        rouge, rouge_each = rouge_l(candidates, references)
        score, score_each = cider(candidates, references)
        for size in range(4):
            assert abs(bleu[size] - golden["overall"][f"Bleu_{size + 1}"]) < 1e-9
        assert abs(rouge - golden["overall"]["ROUGE_L"]) < 1e-9
        assert abs(score - golden["overall"]["CIDEr"]) < 1e-9
        if count == 50:
            for found, name in ((rouge_each, "ROUGE_L"), (score_each, "CIDEr")):
                assert np.allclose(found, golden["per_image"][name], atol=1e-9)
            assert np.allclose([each[3] for each in bleu_each], golden["per_image"]["Bleu_4"], atol=1e-9)


@needs_golden
def test_published_scores_are_met():
    published = _golden("published")
    lines = [(GOLDEN / f"nlgeval_{name}.txt").read_text().splitlines() for name in ("hyp", "ref1", "ref2")]
    candidates = [line.split() for line in lines[0]]
    references = [[first.split(), second.split()] for first, second in zip(*lines[1:], strict=True)]
    bleu, _ = corpus_bleu(candidates, references)
    found = {**{f"Bleu_{n + 1}": bleu[n] for n in range(4)}, "ROUGE_L": rouge_l(candidates, references)[0]}
    found["CIDEr"] = cider(candidates, references)[0]
    for name, value in found.items():
        assert abs(value - published["nlgeval"]["published"][name]) < 1e-4, name


@needs_golden
@pytest.mark.parametrize("language", ["de", "zh"])
def test_translation_scores_and_signatures_are_the_golden_ones(language):
    folder = SHARED / "commute" / f"en-{language}"
    hypotheses, references = (
        (folder / f"{side}.{language}").read_text(encoding="utf-8").split("\n") for side in ("incorrect", "correct")
    )
    keep = [index for index, line in enumerate(references) if line]
    golden = _golden("sacrebleu")[language]
    found = sacrebleu_score([hypotheses[i] for i in keep], [references[i] for i in keep], language)
    assert found["bleu"] == golden["bleu"]
    assert found["chrf"] == golden["chrf"]
    assert found["bleu_signature"] == golden["bleu_sig"]
    assert found["chrf_signature"] == golden["chrf_sig"]


@needs_golden
@pytest.mark.skipif(shutil.which("java") is None, reason="there is no Java")
@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "de"])
def test_meteor_is_the_golden_one_where_java_is(language):
    pytest.importorskip("pycocoevalcap")
    golden = _golden("multi30k_task2_test2016")[f"{language}_50"]
    score, each = meteor(golden["tok_hyp"], golden["tok_refs"])
    assert abs(score - golden["overall"]["METEOR"]) < 1e-6
    assert np.allclose(each, golden["per_image"]["METEOR"], atol=1e-6)


def test_bleu_by_hand():
    bleu, _ = corpus_bleu(["the cat sat on the mat".split()], [["the cat is on the mat".split()]])
    wanted = [5 / 6, 3 / 5, 1 / 4]
    for size in (1, 2, 3):
        assert bleu[size - 1] == pytest.approx(math.prod(wanted[:size]) ** (1 / size), abs=1e-6)


def test_bleu_is_short_for_short_texts_and_counts_a_word_as_often_as_a_reference_does():
    bleu, _ = corpus_bleu([["dog", "dog"]], [[["dog", "runs", "fast", "home"]]])
    assert bleu[0] == pytest.approx(0.5 * math.exp(1 - 4 / 2), abs=1e-6)


def test_bleu_of_a_draw_is_the_bleu_of_its_texts():
    texts = [["a", "dog"], ["a", "cat", "runs"], ["two", "birds", "fly", "up", "high"]]
    references = [[["a", "dog", "runs"]], [["the", "cat", "runs"]], [["two", "birds", "fly", "high"]]]
    rows = bleu_statistics(texts, references)
    drawn = [2, 0, 2]
    wanted, _ = corpus_bleu([texts[i] for i in drawn], [references[i] for i in drawn])
    assert bleu_from_statistics(rows[drawn].sum(0)) == pytest.approx(wanted)


def test_rouge_by_hand():
    score, _ = rouge_l([["a", "b", "c"]], [[["a", "x", "c", "d"]]])
    precision, recall = 2 / 3, 2 / 4
    assert score == pytest.approx((1 + 1.44) * precision * recall / (recall + 1.44 * precision))


def test_cider_looks_at_rare_words_and_at_the_right_image():
    references = [[["a", "red", "dog", "runs"]], [["a", "blue", "bird", "flies"]], [["a", "cat"]]]
    right, each = cider([texts[0] for texts in references], references)
    turned, _ = cider([references[1][0], references[0][0], references[2][0]], references)
    assert each[0] == pytest.approx(10.0)
    assert turned < 0.5 * right
    assert cider([["a"], ["a"], ["a"]], references)[0] < 0.1


@pytest.mark.parametrize("score", [corpus_bleu, rouge_l, cider])
def test_an_empty_caption_scores_nothing_and_breaks_nothing(score):
    overall, each = score([[], ["a", "dog"]], [[["a", "cat"]], [["a", "dog"]]])
    assert np.isfinite(overall).all()
    assert np.max(each[0]) < 1e-3


@pytest.mark.parametrize("score", [corpus_bleu, rouge_l, cider])
@pytest.mark.parametrize("references", [[], [[["a"]]] * 2, [[]]])
def test_lists_that_do_not_belong_together_are_refused(score, references):
    with pytest.raises(ValueError, match="give"):
        score([["a"]], references)


@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        ("图为狗和猫。", "zh", ["图", "为", "狗", "和", "猫"]),
        ("Ein „Hund“, läuft!", "de", ["ein", "hund", "läuft"]),
        ("На картинке изображён кот…", "ru", ["на", "картинке", "изображён", "кот"]),
        ("L'été: 3 ＤＯＧＳ", "fr", ["l'été", "3", "dogs"]),
    ],
)
def test_words_of_any_language_are_told_apart_without_a_model(text, language, words):
    assert segment(text, language, "words") == words


def test_an_unknown_segmentation_is_refused():
    with pytest.raises(ValueError, match="segmentation must be one of ptb, words, stanza, not 'jieba'"):
        segment("a", "en", "jieba")


def test_ties_and_numbers_that_are_none_are_wrong():
    assert contrastive_accuracy([1.0, 2.0, 3.0, float("nan")], [2.0, 2.0, 2.0, 5.0]) == 0.25
    with pytest.raises(ValueError, match="give one each"):
        contrastive_accuracy([1.0], [])


def test_the_language_of_captions_is_told():
    pytest.importorskip("py3langid")
    texts = {
        "en": "A red cup of coffee stands on a wooden table.",
        "de": "Eine rote Tasse Kaffee steht auf einem Holztisch.",
        "fr": "Une tasse de café rouge est posée sur une table en bois.",
        "es": "Una taza roja de café está sobre una mesa de madera.",
        "ru": "Красная чашка кофе стоит на деревянном столе.",
        "zh": "木桌上有一杯咖啡。",
        "it": "Una tazza rossa di caffè si trova su un tavolo di legno.",
    }
    identifier = LanguageIdentifier(texts)
    for language, text in texts.items():
        assert [code for code in texts if identifier.is_in(text, code)] == [language]
    assert not identifier.is_in("", "de")


def test_the_bootstrap_tells_a_real_difference_from_none():
    rng = np.random.default_rng(0)
    first = rng.normal(0.5, 0.2, 400)
    better, same = first + rng.normal(0.05, 0.1, 400), first + rng.normal(0.0, 0.1, 400)
    scores = [lambda drawn, values=values: float(values[drawn].mean()) for values in (first, better, same)]
    low, high = interval(scores[0], 400)
    assert low < first.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * 0.2 / 20, rel=0.15)
    difference, (low, high), p = paired_difference(scores[0], scores[1], 400)
    assert low > 0
    assert p < 0.01
    assert difference == pytest.approx((better - first).mean())
    assert paired_difference(scores[0], scores[2], 400)[2] > 0.05


MODULES = Path(__file__).parents[2] / "modeling_florenz" / "evaluation" / "metrics" / "modules"


def test_evaluate_loads_the_metrics_from_the_package_without_a_network(tmp_path, monkeypatch):
    evaluate = pytest.importorskip("evaluate")
    texts, references = ["A dog runs.", "Two red birds fly."], [["A dog runs!"], ["Two red birds fly up."]]
    found = {}
    for name in ("florenz_cider", "florenz_bleu", "florenz_rouge_l"):
        metric = evaluate.load(str(MODULES / name), cache_dir=str(tmp_path))
        found.update(metric.compute(predictions=texts, references=references))
    words = [segment(text, "en", "ptb") for text in texts]
    wanted = [[segment(text, "en", "ptb") for text in each] for each in references]
    assert found["cider"] == 100 * cider(words, wanted)[0]
    assert found["bleu_2"] == 100 * corpus_bleu(words, wanted)[0][1]
    assert found["rouge_l"] == 100 * rouge_l(words, wanted)[0]
    metric = evaluate.load(str(MODULES / "florenz_contrastive"), cache_dir=str(tmp_path))
    assert metric.compute(predictions=[1.0, 2.0], references=[2.0, 2.0]) == {"accuracy": 50.0}
