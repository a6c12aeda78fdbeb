"""Models that are compared with Florenz go through the same runner, and refuse what they cannot do."""

import json
from dataclasses import replace

import pytest
from evaluated_models import GREEDY, blip, florence, llava, nllb, write_samples

from modeling_florenz.data.datasets import DATASETS
from modeling_florenz.evaluation.run import EvaluationOptions, run_benchmark
from modeling_florenz.inference.baselines import CascadeModel, chat_prompt
from modeling_florenz.resumable import JsonLines


pytestmark = pytest.mark.filterwarnings("ignore:.*were published")
MULTI30K = ("multi30k_captions", ["de", "fr"], "test_2016_flickr", "test_2016")


def test_a_chat_model_goes_through_the_same_runner(tmp_path):
    options = EvaluationOptions(
        "llava", write_samples(tmp_path / "data", *MULTI30K), tmp_path / "out", GREEDY, languages=["de"]
    )
    for name, splits in (("multi30k_captions", []), ("multi30k_translation", ["test_2016_flickr"])):
        results = run_benchmark(name, llava(), replace(options, splits=splits))
        assert results["samples_per_second"] > 0
        entries = JsonLines(next((tmp_path / "out" / name).glob("*.jsonl")), "key").entries
        assert len(entries) == 6
        assert all("Answer" not in entry["text"] for entry in entries.values())


def test_florence_2_a_translator_and_both_in_a_row_go_through_the_same_runner(tmp_path):
    data = write_samples(tmp_path / "data", *MULTI30K)
    write_samples(data, "coco_karpathy", ["en"], "test")
    options = EvaluationOptions("tiny", data, tmp_path / "out", GREEDY)
    runs = [
        ("coco_karpathy", florence(), [], []),
        ("multi30k_translation", nllb(), ["de"], ["test_2016_flickr"]),
        ("multi30k_captions", CascadeModel(florence(), nllb()), ["de"], []),
    ]
    for name, model, languages, splits in runs:
        results = run_benchmark(name, model, replace(options, languages=languages, splits=splits))
        assert json.loads((tmp_path / "out" / f"{name}.json").read_text()) == json.loads(json.dumps(results))
        assert all(0 <= value <= 100 for values in results["scores"].values() for value in values.values())


def test_blip_2_captions_go_through_the_same_runner(tmp_path):
    data = write_samples(tmp_path / "data", "multi30k_captions", ["de"], "test_2016")
    options = EvaluationOptions("blip-2+nllb", data, tmp_path / "out", GREEDY, languages=["de"])
    results = run_benchmark("multi30k_captions", CascadeModel(blip(), nllb()), options)
    assert len(JsonLines(tmp_path / "out/multi30k_captions/test_2016.de.caption.jsonl", "key").entries) == 6
    assert set(results["scores"]["test_2016/de"]) >= {"cider", "bleu_4", "language"}


@pytest.mark.parametrize(
    ("name", "model", "languages", "message"),
    [
        ("multi30k_captions", florence, ["de"], "tiny cannot be asked for 'de', only for en: give other languages"),
        ("multi30k_captions", blip, ["de"], "tiny cannot be asked for 'de', only for en: give other languages"),
        ("multi30k_translation", florence, [], "tiny writes en, and multi30k_translation is in de, fr: take another"),
        ("coco_karpathy", nllb, [], "a translator alone cannot caption"),
    ],
)
def test_what_a_model_cannot_do_is_refused_in_one_sentence(name, model, languages, message, tmp_path):
    data = write_samples(tmp_path / "data", *MULTI30K)
    write_samples(data, "coco_karpathy", ["en"], "test")
    with pytest.raises(ValueError, match=message):
        run_benchmark(name, model(), EvaluationOptions("tiny", data, tmp_path / "out", GREEDY, languages=languages))


@pytest.mark.parametrize("model", [florence, blip])
def test_a_captioner_that_knows_english_alone_translates_nothing(model):
    row = {"image": None, "task": "translate", "language": "en", "source": "A dog."}
    with pytest.raises(ValueError, match="captions in English only"):
        model().generate([row], GREEDY)


def test_baselines_can_be_asked_for_every_language_of_the_datasets():
    chat, translator = llava(), nllb()
    for dataset in DATASETS.values():
        for language in dataset.languages:
            assert chat.writes(language), language
            assert translator.writes(language), language
    assert "Answer in Portuguese" in chat_prompt({"task": "caption", "language": "pt", "source": ""})
