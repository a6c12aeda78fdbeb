"""The code of the guides for other ways to train runs as it stands."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from modeling_florenz.training.recipe_file import read_recipe, recipe_path
from modeling_florenz.training.smoke import smoke_values


GUIDES = Path(__file__).parents[2] / "modeling_florenz" / "training" / "guides"


def _run(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **instead: str) -> dict[str, Any]:
    monkeypatch.chdir(folder)
    found: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", (GUIDES / f"{page}.md").read_text(), re.DOTALL | re.MULTILINE):
        for given, other in instead.items():
            assert re.search(rf'^{given} = ".*"$', block, re.MULTILINE)
            block = re.sub(rf'^{given} = ".*"$', f"{given} = {other!r}", block, flags=re.MULTILINE)
        exec(compile(block, f"{page}.md", "exec"), found)
    return found


@pytest.mark.slow
def test_full_training_by_the_plain_trainer_lowers_the_loss(tmp_path, monkeypatch):
    losses = _run("trainer", tmp_path, monkeypatch)["losses"]
    print(losses)
    assert len(losses) == 10
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.slow
def test_seq2seq_trainer_measures_what_the_model_writes(tmp_path, monkeypatch):
    assert 0.5 < _run("seq2seq_trainer", tmp_path, monkeypatch)["measured"]["eval_exact"] <= 1


@pytest.mark.slow
def test_a_loop_with_accelerate_trains_and_saves_a_model(tmp_path, monkeypatch):
    losses = _run("accelerate", tmp_path, monkeypatch)["losses"]
    assert len(losses) == 4
    assert all(0 < loss < 5 for loss in losses)
    assert (tmp_path / "my-florenz" / "model.safetensors").exists()


@pytest.mark.slow
def test_adapters_of_peft_are_swapped_on_one_model(tmp_path, monkeypatch):
    losses = _run("peft", tmp_path, monkeypatch)["losses"]
    assert losses["formal"] < losses["base"]
    assert losses["formal"] < losses["short"]


@pytest.mark.slow
def test_four_bit_weights_stay_and_the_adapter_on_them_learns(tmp_path, monkeypatch):
    pytest.importorskip("bitsandbytes")
    model = smoke_values(read_recipe(recipe_path("multi30k_qlora")), tmp_path)["model"]
    Image.new("RGB", (40, 30), "red").save(tmp_path / "photo.jpg")
    found = _run("qlora", tmp_path, monkeypatch, name=model)
    assert 0 < found["loss"].item() < 20
    trained = {name: weight for name, weight in found["model"].named_parameters() if weight.requires_grad}
    assert all("lora_" in name or "norm" in name or "gate" in name for name in trained)
    assert any(weight.grad is not None and weight.grad.any() for weight in trained.values())
    assert any(weight.dtype == torch.uint8 for weight in found["model"].parameters())


def test_every_guide_is_listed_in_the_manual_and_is_python():
    manual = (GUIDES.parent / "README.md").read_text()
    for path in GUIDES.glob("*.md"):
        assert f"guides/{path.name}" in manual, path.name
        for block in re.findall(r"^```python\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE):
            compile(block, path.name, "exec")
