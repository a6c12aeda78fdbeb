"""Learning from a teacher: the loss, what it changes, and which teachers are refused."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_recipes import SCENES, small_recipe

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.training.distillation import distillation_loss
from modeling_florenz.training.fine_tuning import fine_tune
from modeling_florenz.training.recipe import parse_recipe


def with_teacher(output, **more):
    return small_recipe(output, method="full", teacher="florenz-tiny", loss_chunk_size=0, **more)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_loss_is_the_divergence_over_tokens_that_are_asked_for(temperature):
    generator = torch.Generator().manual_seed(0)
    logits, guide = (torch.randn(2, 3, 5, generator=generator) for _ in range(2))
    labels = torch.tensor([[1, 2, -100], [3, -100, -100]])
    expected = 0.0
    for row, place in ((0, 0), (0, 1), (1, 0)):
        student, teacher = ((each[row, place] / temperature).softmax(-1) for each in (logits, guide))
        expected += (teacher * (teacher / student).log()).sum().item() * temperature**2
    assert distillation_loss(logits, guide, labels, temperature).item() == pytest.approx(expected, rel=1e-5)


def test_the_gradient_goes_to_the_student_alone_and_is_zero_where_both_agree():
    logits = torch.randn(1, 2, 5, requires_grad=True)
    guide = torch.randn(1, 2, 5, requires_grad=True)
    distillation_loss(logits, guide, torch.tensor([[1, 2]]), 1.0).backward()
    assert guide.grad is None
    assert logits.grad.abs().sum() > 0
    same = logits.detach().clone().requires_grad_()
    distillation_loss(same, logits.detach(), torch.tensor([[1, 2]]), 1.0).backward()
    assert same.grad.abs().max() < 1e-6


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"loss_chunk_size": 64}, "loss_chunk_size is 64 beside a teacher"),
        ({"distillation": 0.0}, "distillation must be a share above 0 and up to 1, not 0.0"),
        ({"distillation_temperature": -1.0}, "distillation_temperature must be above 0, not -1.0"),
        ({"cache_image_features": True, "method": "lora"}, "a teacher sees the image itself"),
    ],
)
def test_what_does_not_fit_a_teacher_is_refused(tmp_path, values, sentence):
    with pytest.raises(ValueError, match=sentence):
        parse_recipe({**with_teacher(tmp_path / "run"), **values})


def test_a_teacher_with_another_vocabulary_is_refused_before_weights_are_loaded(tmp_path):
    teacher = tmp_path / "teacher"
    shutil.copytree(BUNDLED_MODEL, teacher, ignore=shutil.ignore_patterns("*.safetensors"))
    path = teacher / "tokenizer.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    word = max(settings["model"]["vocab"], key=settings["model"]["vocab"].get)
    settings["model"]["vocab"][f"{word}another"] = settings["model"]["vocab"].pop(word)
    settings["model"]["merges"] = settings["model"]["merges"][:-1]
    path.write_text(json.dumps(settings), encoding="utf-8")
    values = with_teacher(tmp_path / "run", train_data=SCENES) | {"teacher": str(teacher)}
    with pytest.raises(ValueError, match="differs from the model in the vocabulary of targets: take one of the same"):
        fine_tune(values)


def student(folder, factor):
    """Write `florenz-tiny` without dropout, its last norm multiplied by a factor."""
    shutil.copytree(BUNDLED_MODEL, folder)
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    settings["encoder_config"] |= {"dropout": 0.0, "attention_dropout": 0.0}
    settings["text_config"]["attention_dropout"] = 0.0
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    weights = load_file(folder / "model.safetensors")
    weights["model.decoder.norm.weight"] = (1 + weights["model.decoder.norm.weight"]) * factor - 1
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return str(folder)


@pytest.mark.slow
def test_accumulated_batches_have_the_loss_of_one_and_a_student_like_its_teacher_has_none(tmp_path):
    more = {"max_steps": 1, "save_steps": 1, "distillation": 1.0, "learning_rate": 0.0}

    def first_loss(name, model, batch, accumulated):
        sizes = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulated}
        run = fine_tune(with_teacher(tmp_path / name, **more, **sizes) | {"model": model})
        return dict(run.results["loss_curve"])[1]

    assert first_loss("same", student(tmp_path / "twin", 1.0), 4, 1) == pytest.approx(0, abs=1e-5)
    other = student(tmp_path / "other", 0.5)
    whole = first_loss("one", other, 4, 1)
    assert whole > 0.01
    assert first_loss("two", other, 2, 2) == pytest.approx(whole, rel=1e-4)
