"""A model larger than memory runs with part of it on disk, and says the same."""

from pathlib import Path

import pytest
import torch
from tiny_models import KINDS, tiny_inputs, tiny_model

from modeling_florenz import FlorenzForConditionalGeneration


@pytest.mark.parametrize("kind", KINDS)
def test_layers_on_disk_give_the_same_ids(kind: str, tmp_path: Path) -> None:
    model = tiny_model(kind).eval()
    model.save_pretrained(tmp_path / "model")
    load = FlorenzForConditionalGeneration.from_pretrained
    offloaded = load(
        tmp_path / "model", device_map="auto", max_memory={"cpu": "2MB"}, offload_folder=tmp_path / "offload"
    )
    assert "disk" in offloaded.hf_device_map.values()
    with torch.no_grad():
        expected = model.generate(**tiny_inputs(), max_new_tokens=6, num_beams=2)
        assert torch.equal(offloaded.generate(**tiny_inputs(), max_new_tokens=6, num_beams=2), expected)
