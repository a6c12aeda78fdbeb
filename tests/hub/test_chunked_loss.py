"""The loss that never holds all logits: the same number and the same gradients as the plain one."""

import pytest
import torch
from tiny_models import KINDS, tiny_inputs, tiny_labels, tiny_model
from transformers.utils import find_labels

from modeling_florenz.modeling_florenz import chunked_cross_entropy
from modeling_florenz.training.adapters import add_adapter, lora_config


CHUNKS = (1, 7, 1000)


def _gradients(model, **more):
    model.zero_grad()
    loss = model(**tiny_inputs(), labels=tiny_labels(), **more).loss
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("softcap", [30.0, None])
@pytest.mark.parametrize("kind", KINDS)
def test_chunked_loss_and_gradients_equal_the_plain_ones(kind, softcap, chunk):
    model = tiny_model(kind)
    model.config.text_config.final_logit_softcapping = softcap
    for items in (None, torch.tensor(57)):
        plain, wanted = _gradients(model, num_items_in_batch=items)
        loss, found = _gradients(model, num_items_in_batch=items, loss_chunk_size=chunk)
        assert abs(loss - plain) <= 1e-6
        assert found.keys() == wanted.keys()
        for name in wanted:
            if name.endswith("k_proj.bias"):  # attention does not change with it: all of its gradient is rounding
                assert found[name].norm() < 1e-5
            else:
                assert (found[name] - wanted[name]).norm() <= 1e-5 * wanted[name].norm(), name


@pytest.mark.parametrize("softcap", [30.0, None])
@pytest.mark.parametrize("kind", KINDS)
def test_smoothed_labels_have_the_loss_of_torch_and_the_same_gradients_in_chunks(kind, softcap):
    model = tiny_model(kind)
    model.config.text_config.final_logit_softcapping = softcap
    labels = tiny_labels()
    with torch.no_grad():
        logits = model(**tiny_inputs(), labels=labels).logits
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), label_smoothing=0.1)
    for items in (None, torch.tensor(57)):
        plain, wanted = _gradients(model, num_items_in_batch=items, loss_smoothing=0.1)
        if items is None:
            assert abs(plain - expected) <= 1e-6
            assert abs(plain - _gradients(model)[0]) > 1e-3
        for chunk in CHUNKS:
            loss, found = _gradients(model, num_items_in_batch=items, loss_smoothing=0.1, loss_chunk_size=chunk)
            assert abs(loss - plain) <= 1e-6
            for name in wanted:
                if not name.endswith("k_proj.bias"):
                    assert (found[name] - wanted[name]).norm() <= 1e-5 * wanted[name].norm(), name


@pytest.mark.parametrize("kind", KINDS)
def test_trainer_takes_nothing_but_labels_for_labels(kind):
    # It measures no loss where an argument whose name holds "label" is not in the batch.
    assert find_labels(type(tiny_model(kind))) == ["labels"]


def test_logits_are_not_given_beside_a_chunked_loss():
    output = tiny_model("gemma2")(**tiny_inputs(), labels=tiny_labels(), loss_chunk_size=4)
    assert output.logits is None
    with torch.no_grad():
        assert tiny_model("gemma2")(**tiny_inputs(), labels=tiny_labels(), loss_chunk_size=4).loss == output.loss


def test_gradients_agree_with_finite_differences():
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(9, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[1, 8, -100], [0, 3, 5]])
    loss = chunked_cross_entropy(hidden, weight, labels, 3.0, 2)
    loss.backward(retain_graph=True)
    for tensor in (hidden, weight):
        for place in range(tensor.numel()):
            values = []
            for step in (1e-6, -1e-6):
                with torch.no_grad():
                    tensor.view(-1)[place] += step
                    values.append(chunked_cross_entropy(hidden, weight, labels, 3.0, 2))
                    tensor.view(-1)[place] -= step
            assert abs((values[0] - values[1]) / 2e-6 - tensor.grad.view(-1)[place]) < 1e-8
    with pytest.raises(RuntimeError, match="can go backward once"):
        loss.backward()


@pytest.mark.parametrize("frozen", ["head", "hidden"])
def test_only_what_is_trained_gets_a_gradient(frozen):
    hidden = torch.randn(2, 5, 8, requires_grad=frozen != "hidden")
    weight = torch.randn(20, 8, requires_grad=frozen != "head")
    labels = torch.randint(0, 20, (2, 5))
    chunked_cross_entropy(hidden, weight, labels, 30.0, 3).backward()
    assert (hidden.grad is None) == (frozen == "hidden")
    assert (weight.grad is None) == (frozen == "head")


def test_an_adapter_with_embedding_rows_has_the_same_loss_and_gradients():
    wrapped = add_adapter(model := tiny_model("gemma2"), lora_config(model, "decoder", 2, embedding_rows=[5, 9, 40]))
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(1))
    plain, wanted = _gradients(wrapped)
    loss, found = _gradients(wrapped, loss_chunk_size=5)
    assert abs(loss - plain) <= 1e-6
    assert any("token_adapter" in name for name in found)
    for name in wanted:
        assert (found[name] - wanted[name]).norm() <= 1e-5 * wanted[name].norm() + 1e-9, name


def test_accumulated_steps_equal_one_large_one():
    model = tiny_model("bart")
    inputs, labels = tiny_inputs(), tiny_labels()
    items = labels.ne(-100).sum()
    model.zero_grad()
    for row in range(3):
        part = {name: tensor[row : row + 1] for name, tensor in inputs.items()}
        model(**part, labels=labels[row : row + 1], num_items_in_batch=items, loss_chunk_size=4).loss.backward()
    parts = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    _, whole = _gradients(model, loss_chunk_size=4)
    for name in whole:
        assert (parts[name] - whole[name]).norm() <= 1e-4 * whole[name].norm() + 1e-7, name


def test_bfloat16_autocast_gives_what_the_plain_loss_gives_there():
    model = tiny_model("gemma2")
    with torch.autocast("cpu", torch.bfloat16):
        plain, wanted = _gradients(model)
        loss, found = _gradients(model, loss_chunk_size=5)
    assert abs(loss - plain) < 0.01 * plain
    name = "model.decoder.embed_tokens.weight"
    assert found[name].dtype == torch.float32
    assert torch.cosine_similarity(found[name].flatten(), wanted[name].flatten(), 0) > 0.999


def test_labels_that_ask_for_nothing_give_no_gradient():
    hidden = torch.randn(1, 4, 8, requires_grad=True)
    weight = torch.randn(20, 8, requires_grad=True)
    loss = chunked_cross_entropy(hidden, weight, torch.full((1, 4), -100), 30.0, 2, num_items_in_batch=1)
    loss.backward()
    assert loss == 0
    assert not hidden.grad.any()
    assert not weight.grad.any()


@pytest.mark.parametrize("fault", ["no softcap", "pads count"])
def test_a_lost_softcap_or_mask_would_show(fault):
    hidden, weight = 5 * torch.randn(2, 6, 8), torch.randn(30, 8)
    labels = torch.randint(0, 30, (2, 6))
    labels[1, 3:] = -100
    right = chunked_cross_entropy(hidden, weight, labels, 5.0, 4)
    if fault == "no softcap":
        wrong = chunked_cross_entropy(hidden, weight, labels, None, 4)
    else:
        wrong = chunked_cross_entropy(hidden, weight, labels.clamp(min=0), 5.0, 4)
    assert abs(right - wrong) > 1e-3
