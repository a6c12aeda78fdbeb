"""Quantised models caption as the whole ones do, and keep what is delicate in its own precision."""

import importlib.util

import pytest
import torch
from torch import nn

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.checkpoint.quantization import check_device, quantization_config
from modeling_florenz.cli import main
from modeling_florenz.inference.captioner import Captioner
from modeling_florenz.modeling_florenz import FlorenzForConditionalGeneration
from modeling_florenz.sizes import config_from_size


@pytest.mark.skipif(importlib.util.find_spec("torchao") is None, reason="torchao is not installed")
def test_int8_captions_the_sample_and_keeps_what_is_delicate() -> None:
    captioner = Captioner()
    # As `load_model` does on a GPU.
    settings = quantization_config("int8", torch.bfloat16, captioner.model.config)
    captioner.model = FlorenzForConditionalGeneration.from_pretrained(
        BUNDLED_MODEL, dtype=torch.bfloat16, quantization_config=settings, device_map={"": "cpu"}
    ).eval()
    assert captioner.caption([BUNDLED_MODEL / "sample.png"], "de") == ["Ein Bild: Hund, Fahrrad und Palme."]
    model = captioner.model
    quantised = {
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and type(module.weight.data) is not torch.Tensor
    }
    assert "model.decoder.layers.0.cross_attn.q_proj" in quantised
    assert "model.encoder.layers.0.fc1" in quantised
    assert not any(
        name.startswith(("model.vision_tower", "model.multi_modal_projector", "lm_head")) for name in quantised
    )
    assert model.model.decoder.layers[0].cross_attn_gate.weight.dtype == torch.bfloat16


def test_int8_is_refused_on_a_cpu_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["caption", str(BUNDLED_MODEL / "sample.png"), "--quantize", "int8"]) == 2
    assert "int8 is for GPUs, because on a CPU it is several times slower than bfloat16: leave it out, or use" in (
        capsys.readouterr().err
    )
    check_device("int4", "cpu")
    check_device("int8", "cuda:0")


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ValueError, match="no quantisation 'int2': use one of int8, int4"):
        quantization_config("int2", torch.bfloat16, config_from_size("3.5b"))


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["caption", str(BUNDLED_MODEL / "sample.png"), "--quantize", "int4"]) == 2
    assert "pip install bitsandbytes" in capsys.readouterr().err
    with pytest.raises(ValueError, match="pip install torchao"):
        quantization_config("int8", torch.bfloat16, config_from_size("3.5b"))


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
def test_int4_refuses_widths_that_its_blocks_do_not_divide(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["caption", str(BUNDLED_MODEL / "sample.png"), "--quantize", "int4"]) == 2
    assert "int4 needs widths that 64 divides, but this model has 160: leave it out" in capsys.readouterr().err
