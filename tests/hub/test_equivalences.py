"""Whatever gives the model the same, gives the same text: many ways of asking, over many random configurations."""

from pathlib import Path

import pytest
import torch
from equal_logits import LOGITS, OTHERS, in_dtype
from equal_texts import ONLY, TEXTS
from random_models import Case
from tiny_models import KINDS


pytestmark = pytest.mark.slow

CLOSE = 2e-4  # float32, on logits around 6


@torch.no_grad()
@pytest.mark.parametrize("number", range(30))
@pytest.mark.parametrize("kind", KINDS)
def test_equal_questions_get_equal_answers(kind: str, number: int, tmp_path: Path) -> None:
    case = Case(kind, number, tmp_path)
    off = {}
    for name, ask in LOGITS.items():
        off[name] = (ask(case) - case.logits).abs().max().item()
    for name, both in OTHERS.items():
        found, wanted = both(case)
        off[name] = (found - wanted).abs().max().item() if found.shape == wanted.shape else float("inf")
    wrong = [f"{name}: {distance:.1e}" for name, distance in off.items() if not distance < CLOSE]
    half = (in_dtype(case, torch.bfloat16) - case.logits).abs().mean().item()
    spread = case.logits.std().item()
    if not half < 0.25 * spread:
        wrong.append(f"bfloat16: {half:.2f} of {spread:.2f}")
    for name, both in {**TEXTS, **ONLY[kind]}.items():
        found, wanted = both(case)
        if not torch.equal(found, wanted):
            wrong.append(f"text, {name}: {found.tolist()} for {wanted.tolist()}")
    assert not wrong, "\n".join(wrong)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_other_questions_get_other_answers(kind: str, tmp_path: Path) -> None:
    case = Case(kind, 0, tmp_path)
    changed = {
        "another image": {**case.inputs, "pixel_values": case.pixels.flip(0)},
        "pads that are read": {**case.inputs, "attention_mask": torch.ones_like(case.mask)},
        "another prompt": {**case.inputs, "input_ids": case.ids.clamp(max=50)},
        "no image": case.prompt,
    }
    for name, given in changed.items():
        found = case.ask(**given, decoder_input_ids=case.decoder_ids)
        assert (found - case.logits).abs().max() > 100 * CLOSE, name
    assert not torch.equal(case.write(**changed["another image"]), case.text)
