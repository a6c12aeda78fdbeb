"""Matrices that are packed for a CPU's bfloat16 give what they gave before, and the model is still the same."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import KINDS, tiny_inputs, tiny_model
from tiny_processor import build_tiny_processor

from modeling_florenz.checkpoint.fingerprint import weights_digest
from modeling_florenz.checkpoint.loading import load_model
from modeling_florenz.inference.benchmark import step_gigabytes
from modeling_florenz.inference.captioner import Captioner
from modeling_florenz.inference.packed import PackedLinear, can_pack, pack_matrices
from modeling_florenz.modeling_florenz import FlorenzForConditionalGeneration, FlorenzLinear


if not torch.cpu._is_avx512_bf16_supported():
    pytest.skip("this CPU does not multiply bfloat16", allow_module_level=True)


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> FlorenzForConditionalGeneration:
    monkeypatch.setattr(FlorenzLinear, "smallest", 1)
    return tiny_model(request.param).bfloat16()


@torch.no_grad()
def answers(model: Any) -> list[torch.Tensor]:
    """Return texts and the logits of many rows and of one."""
    given = {name: value.bfloat16() if value.is_floating_point() else value for name, value in tiny_inputs().items()}
    search = {"do_sample": False, "max_new_tokens": 16, "no_repeat_ngram_size": 1}
    texts = [model.generate(**given, num_beams=beams, **search) for beams in (1, 3)]
    one = {name: value[:1] for name, value in given.items()}
    return [
        *texts,
        model(**given, decoder_input_ids=texts[0]).logits,
        model(**one, decoder_input_ids=texts[0][:1, :1]).logits,
    ]


def test_a_packed_model_answers_as_before(model) -> None:
    plain = tiny_model(model.config.text_config.model_type).bfloat16()
    plain.load_state_dict(model.state_dict())
    FlorenzLinear.smallest = 2**40  # its own products of one row round in another order
    assert can_pack(model)
    pack_matrices(model)
    assert not any(isinstance(module, FlorenzLinear) for module in model.modules())
    for found, expected in zip(answers(model), answers(plain), strict=True):
        assert torch.equal(found, expected)


def test_a_matrix_in_another_order_would_be_seen(model) -> None:
    before = answers(model)
    pack_matrices(model)
    part = next(module for module in model.model.decoder.modules() if isinstance(module, PackedLinear))
    part.packed = torch.ops.mkldnn._reorder_linear_weight(part.weight.flip(0))
    assert not torch.equal(answers(model)[2], before[2])


def test_a_packed_model_has_the_same_weights_and_digest_and_reads_as_much(model, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    digest, read = weights_digest(model), step_gigabytes(model)
    pack_matrices(model)
    after = model.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[name], before[name]) for name in before)
    assert weights_digest(model) == digest and step_gigabytes(model) == read
    model.save_pretrained(tmp_path)
    assert weights_digest(load_model(tmp_path, dtype=torch.bfloat16)) == digest


@pytest.mark.parametrize(("dtype", "packs"), [("bfloat16", True), ("float32", False)])
def test_a_captioner_packs_what_is_in_bfloat16(dtype: str, packs: bool, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(FlorenzLinear, "smallest", 1)
    tiny_model("gemma2").save_pretrained(tmp_path)
    build_tiny_processor().save_pretrained(tmp_path)
    captioner = Captioner(tmp_path, device="cpu", dtype=dtype)
    assert any(isinstance(module, PackedLinear) for module in captioner.model.modules()) is packs
    assert any(isinstance(module, FlorenzLinear) for module in captioner.model.modules()) is not packs
