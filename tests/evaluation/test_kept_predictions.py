"""Predictions know what made them: other weights, rows, images or searches under the old names are refused."""

import shutil
from dataclasses import replace

import pytest
import torch
from evaluated_models import GREEDY, Stub, write_samples
from PIL import Image
from safetensors.torch import load_file, save_file

from modeling_florenz.checkpoint.fingerprint import fingerprint
from modeling_florenz.checkpoint.loading import BUNDLED_MODEL, load
from modeling_florenz.cli import main
from modeling_florenz.evaluation import predictions
from modeling_florenz.evaluation.compare import compare
from modeling_florenz.evaluation.run import EvaluationOptions, run_benchmark


pytestmark = pytest.mark.filterwarnings("ignore:.*were published")


@pytest.fixture
def finished(tmp_path):
    data = write_samples(tmp_path / "data", "commute", ["de"], "test")
    options = EvaluationOptions("stub", data, tmp_path / "out", GREEDY, languages=["de"])
    run_benchmark("commute", Stub(), options)
    return options


def test_the_same_run_again_asks_the_model_nothing(finished):
    again = Stub()
    run_benchmark("commute", again, finished)
    run_benchmark("commute", again, replace(finished, model="the same under another name", revision="v2"))
    assert again.asked == []


def test_other_weights_under_the_old_name_are_refused(finished):
    with pytest.raises(
        ValueError, match=r"holds predictions with other settings \(weights_digest\): give another --output"
    ):
        run_benchmark("commute", Stub(digest="1"), finished)


def test_another_version_of_the_package_is_refused(finished, monkeypatch):
    monkeypatch.setattr(predictions, "__version__", "0.0.1")
    with pytest.raises(ValueError, match=r"with other settings \(package_version\)"):
        run_benchmark("commute", Stub(), finished)


def test_another_image_under_the_old_name_is_refused(finished):
    path = sorted((finished.data / "commute").rglob("*.png"))[0]
    Image.new("RGB", (40, 30), "red").save(path)
    with pytest.raises(ValueError, match=r"made \d for another image \(such as .*\): remove the file to make them"):
        run_benchmark("commute", Stub(), finished)


def test_another_source_under_the_old_key_is_refused_and_not_compared(finished, tmp_path):
    other = replace(finished, output=tmp_path / "other")
    run_benchmark("commute", Stub(), other)
    assert list(compare(finished.output, other.output, finished.data))
    path = next(path for path in (finished.data / "commute").rglob("*") if path.suffix == ".en")
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(["Another sentence.", *lines[1:]]) + "\n", encoding="utf-8")
    for again in (
        lambda: run_benchmark("commute", Stub(), finished),
        lambda: list(compare(finished.output, other.output, finished.data)),
    ):
        with pytest.raises(ValueError, match=r"made \d for another text \(such as "):
            again()


def test_a_limit_that_shuffles_otherwise_is_refused_and_one_that_only_adds_rows_is_not(tmp_path):
    data = write_samples(tmp_path / "data", "commute", ["de"], "test")
    for image in ("on", "shuffled"):
        options = EvaluationOptions("stub", data, tmp_path / image, replace(GREEDY, image=image), ["de"], limit=2)
        run_benchmark("commute", Stub(), options)
        if image == "on":
            model = Stub()
            run_benchmark("commute", model, replace(options, limit=4))
            assert len(model.asked) == 2
        else:
            with pytest.raises(ValueError, match="for another image"):
                run_benchmark("commute", Stub(), replace(options, limit=4))


def test_results_beside_predictions_of_another_model_are_not_compared(finished, tmp_path):
    other = replace(finished, output=tmp_path / "other")
    run_benchmark("commute", Stub(digest="1"), other)
    shutil.rmtree(finished.output / "commute")
    shutil.copytree(other.output / "commute", finished.output / "commute")
    with pytest.raises(ValueError, match=r"with other settings \(weights_digest\)"):
        list(compare(finished.output, other.output, finished.data))


def test_new_weights_in_the_old_folder_are_not_scored_as_the_old_ones(tmp_path, capsys):
    folder = tmp_path / "model"
    shutil.copytree(BUNDLED_MODEL, folder)
    command = ["evaluate", str(folder), "--benchmark", "emoji_scenes", "--languages", "de", "--split", "caption"]
    command += ["--limit", "2", "--beams", "1", "--max-new-tokens", "4", "--output", str(tmp_path / "out")]
    assert main(command) == 0
    moved = folder.rename(tmp_path / "moved")
    assert main([str(moved) if word == str(folder) else word for word in command]) == 0
    tensors = load_file(moved / "model.safetensors")
    tensors["model.decoder.norm.weight"][0] += 1
    folder.mkdir()
    shutil.copytree(moved, folder, dirs_exist_ok=True)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    capsys.readouterr()
    assert main(command) == 2
    assert "holds predictions with other settings (weights_digest): give another --output" in capsys.readouterr().err


def test_a_fingerprint_tells_weights_adapter_settings_and_processor_apart():
    peft = pytest.importorskip("peft")
    loaded = load()
    first = fingerprint(loaded.model, loaded.processor)
    again = load(BUNDLED_MODEL)
    assert fingerprint(again.model, again.processor) == first
    loaded.processor.prefixes["de"] = "Hier ist"
    loaded.model.config.text_config.final_logit_softcapping = 20.0
    changed = fingerprint(loaded.model, loaded.processor)
    assert {name for name in first if first[name] != changed[name]} == {"config_digest", "processor_digest"}
    peft.inject_adapter_in_model(peft.LoraConfig(r=2, target_modules=["q_proj"]), again.model)
    adapted = fingerprint(again.model, again.processor)
    assert {name for name in first if first[name] != adapted[name]} == {"adapter_digest"}
    again.model.peft_config["default"].lora_alpha = 99
    scaled = fingerprint(again.model, again.processor)
    assert scaled["adapter_digest"] != adapted["adapter_digest"]
    with torch.no_grad():
        again.model.model.encoder.layernorm_embedding.weight[0] += 1
    assert fingerprint(again.model, again.processor)["weights_digest"] != first["weights_digest"]
