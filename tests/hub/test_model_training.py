"""The loss and its gradients, recomputed or accumulated, and adapters."""

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from model_calls import ROUNDING, Model, largest, logits_of
from peft import LoraConfig, PeftModel, get_peft_model
from tiny_models import KINDS, tiny_inputs, tiny_labels, tiny_model


@torch.no_grad()
def test_loss_is_the_mean_cross_entropy_behind_the_start_id(model: Model) -> None:
    labels = tiny_labels()
    decoder_input_ids = torch.cat((torch.ones(3, 1, dtype=torch.long), labels[:, :-1]), dim=1)
    decoder_input_ids[decoder_input_ids == -100] = 0
    logits = model(**tiny_inputs(), decoder_input_ids=decoder_input_ids).logits
    counted = labels != -100
    by_hand = -logits.log_softmax(-1)[counted].gather(-1, labels[counted][:, None]).mean()
    torch.testing.assert_close(model(**tiny_inputs(), labels=labels).loss, by_hand)


def test_labels_are_shifted_one_to_the_right_without_a_trace_of_minus_100(model: Model) -> None:
    labels = torch.tensor([[2, 7, 9, 1], [2, 8, 1, -100], [2, 1, -100, -100]])
    shifted = model.prepare_decoder_input_ids_from_labels(labels)
    assert shifted.tolist() == [[1, 2, 7, 9], [1, 2, 8, 1], [1, 2, 1, 0]]


def gradients(model: Model, batches: Iterable[tuple[dict[str, torch.Tensor], float]]) -> dict[str, torch.Tensor]:
    model.zero_grad()
    for batch, weight in batches:
        (weight * model(**batch).loss).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


def test_eight_accumulated_samples_give_the_gradient_of_one_batch_if_the_tokens_are_counted(model: Model) -> None:
    parts = [{**tiny_inputs(seed), "labels": tiny_labels(seed)} for seed in range(3)]
    batch = {name: torch.cat([part[name] for part in parts])[:8] for name in parts[0]}
    singles = [{name: values[row : row + 1] for name, values in batch.items()} for row in range(8)]
    count = (batch["labels"] != -100).sum()

    whole = gradients(model, [({**batch, "num_items_in_batch": count}, 1.0)])
    plain = gradients(model, [(batch, 1.0)])
    accumulated = gradients(model, [({**single, "num_items_in_batch": count}, 1.0) for single in singles])
    means = gradients(model, [(single, 1 / 8) for single in singles])
    assert set(whole) == {name for name, _ in model.named_parameters()}
    torch.testing.assert_close(whole, plain, atol=ROUNDING, rtol=0)
    torch.testing.assert_close(whole, accumulated, atol=ROUNDING, rtol=0)
    assert max(largest(whole[name] - means[name]) for name in whole) > 100 * ROUNDING


@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_gradient_checkpointing_recomputes_and_changes_no_gradient(kind: str, use_reentrant: bool) -> None:
    model = tiny_model(kind).train()
    calls = []
    block = model.model.decoder.layers[0]
    (block.mlp if kind == "gemma2" else block.fc1).register_forward_hook(lambda *_: calls.append(1))

    def run() -> dict[str, torch.Tensor]:
        calls.clear()
        torch.manual_seed(0)
        return gradients(model, [({**tiny_inputs(), "labels": tiny_labels()}, 1.0)])

    plain = run()
    assert len(calls) == 1
    model.gradient_checkpointing_enable({"use_reentrant": use_reentrant})
    checkpointed = run()
    assert len(calls) == 2
    assert set(plain) == {name for name, _ in model.named_parameters()}
    torch.testing.assert_close(checkpointed, plain, atol=ROUNDING, rtol=0)


def test_lora_trains_the_gate_and_merges_to_the_same_logits(tmp_path: Path) -> None:
    model = tiny_model("gemma2")
    before = model.model.decoder.layers[0].cross_attn_gate.weight.clone()
    start = logits_of(model)
    lora = LoraConfig(
        r=4,
        target_modules=["q_proj", "v_proj"],
        modules_to_save=["cross_attn_gate"],
        task_type="SEQ_2_SEQ_LM",
    )
    adapted = get_peft_model(model, lora)
    trained = {name: parameter for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    assert {"lora_A" in name or "lora_B" in name or "cross_attn_gate.modules_to_save" in name for name in trained} == {
        True
    }
    assert sum("cross_attn_gate" in name for name in trained) == 4
    optimizer = torch.optim.SGD(trained.values(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        adapted(**tiny_inputs(), labels=tiny_labels()).loss.backward()
        optimizer.step()
    adapted.eval()
    learned = logits_of(adapted)
    assert largest(learned - start) > 100 * ROUNDING

    adapted.save_pretrained(tmp_path)
    reloaded = PeftModel.from_pretrained(tiny_model("gemma2"), tmp_path).eval()
    torch.testing.assert_close(logits_of(reloaded), learned, atol=ROUNDING, rtol=0)

    merged = adapted.merge_and_unload()
    assert isinstance(merged, Model)
    gate = merged.model.decoder.layers[0].cross_attn_gate.weight
    assert gate.shape == before.shape
    assert largest(gate - before) > 1e-5
    torch.testing.assert_close(logits_of(merged), learned, atol=ROUNDING, rtol=0)
