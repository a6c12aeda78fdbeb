"""Runs of an experiment are trained from a tower to folders that load; what has a row is not repeated."""

import json

import pytest
from safetensors.torch import save_file

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.inference.captioner import Captioner
from modeling_florenz.modeling_florenz import FlorenzForConditionalGeneration
from modeling_florenz.scaling.run import run_all
from modeling_florenz.tiny.model import export


EXPERIMENT = """experiment:
  {steps: 2, batch_size: 2, learning_rate: 1.0e-3, warmup_steps: 1, scenes: 2, arms: {
    plain: {name: plain, seeds: [0]},
    taught: {name: taught, seeds: [0], start: plain, self_taught_steps: 8,
      self_taught_tasks: [caption, detailed_caption]}}}
"""


@pytest.mark.slow
def test_a_run_and_the_one_that_starts_from_it_leave_models_and_rows(tmp_path, capsys):
    bundled = FlorenzForConditionalGeneration.from_pretrained(BUNDLED_MODEL)
    tower = {name: tensor.contiguous() for name, tensor in bundled.model.vision_tower.state_dict().items()}
    save_file(tower, tmp_path / "tower.safetensors")
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    for _ in range(2):
        run_all(tmp_path / "experiment.yaml", tmp_path, tmp_path / "rows.jsonl", [], tmp_path / "tower.safetensors")
    assert capsys.readouterr().out.count("arm ") == 2
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["arm"] for row in rows] == ["plain", "taught"]
    taught = [json.loads(line) for line in (tmp_path / "pivot-plain-0.jsonl").read_text().splitlines()]
    assert {(row["task"], row["language"]) for row in taught} == {
        (task, language) for task in ("caption", "detailed_caption") for language in ("fr", "es", "ru", "zh")
    }
    captioner = Captioner(tmp_path / "taught-0" / "model")
    folder = export(captioner.model, captioner.processor, tmp_path / "florenz-tiny")
    assert not list(tmp_path.glob("*.partial"))
    assert isinstance(Captioner(folder).caption([BUNDLED_MODEL / "sample.png"])[0], str)
