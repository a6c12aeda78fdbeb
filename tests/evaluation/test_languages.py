"""A language that a recipe adds is evaluated on every dataset that has it, and told apart from the others."""

import json

import pytest
from evaluated_models import GREEDY, Stub, write_samples

from modeling_florenz.cli import main
from modeling_florenz.data.datasets import DATASETS
from modeling_florenz.evaluation.metrics.language_identification import LanguageIdentifier
from modeling_florenz.evaluation.run import EvaluationOptions, run_benchmark
from modeling_florenz.training.fine_tuning import fine_tune


pytestmark = pytest.mark.filterwarnings("ignore:.*were published")
PORTUGUESE = "Um cachorro marrom corre na praia com uma bola."


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    """Train an adapter that adds Italian and Portuguese, for two steps."""
    folder = tmp_path_factory.mktemp("added")
    for language in ("it", "pt"):
        DATASETS["folder"].sample_writer(folder / language, "train", [("translate", language)])
    values = {
        "model": "florenz-tiny",
        "train_data": [
            {"dataset": "folder", "folder": language, "languages": [language], "task": "translate"}
            for language in ("it", "pt")
        ],
        "data_folder": str(folder),
        "new_languages": {"it": "Italian", "pt": "Portuguese"},
        "output_dir": str(folder / "run"),
        "max_steps": 2,
        "per_device_train_batch_size": 2,
        "lora_rank": 2,
        "use_cpu": True,
        "disable_tqdm": True,
    }
    return fine_tune(values).folder


def test_all_benchmarks_are_run_in_the_languages_an_adapter_adds(adapter, tmp_path):
    data = write_samples(tmp_path / "data", "xm3600", ["it", "pt", "de"], "test")
    write_samples(data, "commute", ["de"], "test")
    command = ["evaluate", "florenz-tiny", "--adapter", str(adapter), "--data", str(data), "--output", str(tmp_path)]
    command += ["--beams", "1", "--max-new-tokens", "8", "--limit", "2"]
    assert main([*command, "--all", "--languages", "it,pt"]) == 0
    results = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert set(results) == {"xm3600", "emoji_scenes"}
    assert set(results["xm3600"]["scores"]) == {"test/it", "test/pt"}
    assert {part.partition("/")[2] for part in results["emoji_scenes"]["scores"]} == {"it"}
    assert results["xm3600"]["protocol"]["language_candidates"] == ["en", "de", "fr", "es", "ru", "zh", "it", "pt"]


def test_without_languages_those_of_the_data_are_evaluated_that_the_model_has(tmp_path):
    data = write_samples(tmp_path / "data", "xm3600", ["de", "fr", "it", "pt"], "test")
    options = EvaluationOptions("stub", data, tmp_path / "out", GREEDY)
    results = run_benchmark("xm3600", Stub(languages=["de", "pt", "xx"]), options)
    assert list(results["scores"]) == ["test/de", "test/pt"]


def test_a_language_that_the_model_lacks_is_refused_in_one_sentence(tmp_path, capsys):
    data = write_samples(tmp_path / "data", "xm3600", ["it", "pt"], "test")
    command = ["evaluate", "florenz-tiny", "--data", str(data), "--output", str(tmp_path)]
    for benchmark, language in (("emoji_scenes", "it"), ("xm3600", "pt")):
        assert main([*command, "--benchmark", benchmark, "--languages", language]) == 2
        message = capsys.readouterr().err
        assert f"florenz-tiny cannot be asked for '{language}', only for en, de, fr, es, ru, zh" in message
    assert not (tmp_path / "emoji_scenes").exists()


def test_captions_in_portuguese_are_told_to_be_portuguese(tmp_path):
    data = write_samples(tmp_path / "data", "xm3600", ["pt", "es"], "test")
    for language in ("pt", "es"):
        model = Stub(text=lambda row: PORTUGUESE, languages=["en", "es", "pt"])
        options = EvaluationOptions("stub", data, tmp_path / language, GREEDY, languages=[language])
        results = run_benchmark("xm3600", model, options)
        assert results["scores"][f"test/{language}"]["language"] == (100 if language == "pt" else 0)


def test_a_text_is_told_among_the_candidates_alone():
    assert LanguageIdentifier(["en", "es", "pt"]).is_in(PORTUGUESE, "pt")
    assert LanguageIdentifier(["en", "es"]).is_in(PORTUGUESE, "es")
    assert not LanguageIdentifier(["en", "pt"]).is_in(" ", "pt")


def test_a_language_that_cannot_be_told_has_no_share(tmp_path):
    assert not LanguageIdentifier(["en", "mi"]).knows("mi")
    data = write_samples(tmp_path / "data", "xm3600", ["mi"], "test")
    options = EvaluationOptions("stub", data, tmp_path / "out", GREEDY)
    results = run_benchmark("xm3600", Stub(languages=["mi"]), options)
    assert set(results["scores"]["test/mi"]) == {"cider", "bleu_4", "rouge_l"}
