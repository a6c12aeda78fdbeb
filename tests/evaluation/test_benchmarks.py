"""Benchmarks: their parts, means as in the paper, and full marks for a model that writes the reference."""

import pytest
from evaluated_models import GREEDY, Stub, write_samples

from modeling_florenz.data.datasets import DATASETS
from modeling_florenz.evaluation.benchmarks import BENCHMARKS, find_benchmark, select_benchmarks
from modeling_florenz.evaluation.run import EvaluationOptions, run_benchmark


def test_every_dataset_with_splits_is_a_benchmark_under_the_same_name():
    assert list(BENCHMARKS) == [name for name, dataset in DATASETS.items() if dataset.splits]
    with pytest.raises(ValueError, match="multi30k_captioning is called multi30k_captions: use that name"):
        find_benchmark("multi30k_captioning")
    with pytest.raises(ValueError, match="benchmark must be one of multi30k_translation, .*, not 'folder'"):
        find_benchmark("folder")


def test_parts_of_the_emoji_world_translate_from_english_only():
    parts = BENCHMARKS["emoji_scenes"].parts()
    assert ("translate", "en") not in parts
    assert ("caption", "en") in parts
    assert {split for split, _ in parts} == {"caption", "translate", "ambiguous"}
    with pytest.raises(ValueError, match="translate of emoji_scenes is not in en: give other splits or languages"):
        BENCHMARKS["emoji_scenes"].parts(["en"], ["translate"])


def test_a_part_that_is_asked_for_twice_is_listed_once():
    assert BENCHMARKS["commute"].parts(["de", "de"], ["test", "test"]) == [("test", "de")]


def test_all_benchmarks_are_those_whose_data_is_there_with_what_they_have_of_what_was_asked(tmp_path):
    for name in ("xm3600", "coco", "commute"):
        (tmp_path / name).mkdir()
    assert list(select_benchmarks(tmp_path)) == ["commute", "xm3600", "coco_karpathy", "emoji_scenes"]
    assert select_benchmarks(tmp_path, ["it", "pt"]) == {"xm3600": (["it", "pt"], []), "emoji_scenes": (["it"], [])}
    assert select_benchmarks(tmp_path, ["fr"], ["test"]) == {
        "commute": (["fr"], ["test"]),
        "xm3600": (["fr"], ["test"]),
    }
    assert list(select_benchmarks(tmp_path, via="en")) == ["xm3600", "emoji_scenes"]
    with pytest.raises(ValueError, match="language must be one of de, .*, not 'xx'"):
        select_benchmarks(tmp_path, ["de", "xx"])
    with pytest.raises(ValueError, match="split must be one of .*, not 'train'"):
        select_benchmarks(tmp_path, [], ["train"])
    with pytest.raises(ValueError, match="has what was asked for"):
        select_benchmarks(tmp_path, ["ru"], ["test_2016"])


def test_means_are_taken_as_in_the_paper():
    scores = {}
    for number, split in enumerate(BENCHMARKS["multi30k_translation"].splits):
        for language in ("de", "fr"):
            scores[f"{split}/{language}"] = {"bleu": 10.0 * number + (5 if language == "fr" else 0)}
    # 2018 is the third and is left out: (0 + 10 + 30) / 3.
    assert BENCHMARKS["multi30k_translation"].aggregate(scores) == {
        "bleu de": pytest.approx(40 / 3),
        "bleu fr": pytest.approx(55 / 3),
    }
    eight = {
        f"test/{language}": {"cider": value}
        for language, value in zip("en de fr es ru zh it pt".split(), (90, 80, 4, 3, 2, 1, 70, 60), strict=True)
    }
    assert BENCHMARKS["xm3600"].aggregate(eight) == {"cider": 2.5}
    four = {
        f"test/{language}": {"bleu": 4.0 * n, "accuracy": 50.0 + n} for n, language in enumerate("de fr ru zh".split())
    }
    assert BENCHMARKS["commute"].aggregate(four) == {"accuracy": 51.5, "bleu": 6.0}
    del four["test/zh"]
    assert BENCHMARKS["commute"].aggregate(four) == {}


@pytest.mark.filterwarnings("ignore:.*were published")
@pytest.mark.parametrize("name", list(BENCHMARKS))
def test_a_model_that_writes_the_reference_gets_full_marks_on_every_benchmark(name, tmp_path):
    languages = [code for code in ("de", "fr", "es", "ru", "zh") if code in DATASETS[name].languages] or ["en"]
    if DATASETS[name].sample_writer:
        write_samples(tmp_path, name, languages, *BENCHMARKS[name].splits)
    oracle = Stub(perplexity=lambda row, target: 1.0 if target == row["target"] else 2.0)
    splits = BENCHMARKS[name].splits
    options = EvaluationOptions("oracle", tmp_path, tmp_path / "out", GREEDY, languages, splits, limit=6)
    results = run_benchmark(name, oracle, options)
    full = {"bleu": 100, "chrf": 100, "exact": 100, "accuracy": 100, "bleu_4": 100, "rouge_l": 100, "objects": 100}
    for values in results["scores"].values():
        for measure, value in values.items():
            if measure in full:
                assert value == pytest.approx(full[measure], abs=1e-3), measure
            elif measure == "cider":  # 1,000 if all sentences are different
                assert value > 500
    assert set(results["rows"].values()) == {6}
    assert set(results["rows"]) == {f"{split}/{code}" for split, code in BENCHMARKS[name].parts(languages, splits)}
