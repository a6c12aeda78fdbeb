"""`florenz-tiny` is trained from a tower to a folder that loads, and an interrupted run goes on."""

import pytest
from safetensors.torch import save_file

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.inference.captioner import Captioner
from modeling_florenz.modeling_florenz import FlorenzForConditionalGeneration
from modeling_florenz.tiny.train import TinyArguments, train


@pytest.mark.slow
def test_a_training_leaves_a_model_and_a_longer_one_goes_on_from_it(tmp_path):
    bundled = FlorenzForConditionalGeneration.from_pretrained(BUNDLED_MODEL)
    tower = {name: tensor.contiguous() for name, tensor in bundled.model.vision_tower.state_dict().items()}
    save_file(tower, tmp_path / "tower.safetensors")
    arguments = {"output_dir": str(tmp_path / "run"), "tower": str(tmp_path / "tower.safetensors"), "batch_size": 2}
    for steps in (2, 3):
        folder = train(TinyArguments(**arguments, max_steps=steps, save_steps=1, hiding="partial", grounding=0.4))
        assert (tmp_path / "run" / f"checkpoint-{steps}").is_dir()
    assert folder == tmp_path / "run" / "florenz-tiny"
    assert not list((tmp_path / "run").glob("*.partial"))
    assert isinstance(Captioner(folder).caption([BUNDLED_MODEL / "sample.png"])[0], str)
