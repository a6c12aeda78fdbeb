"""Preferring targets to incorrect ones: the loss is DPO's, and training on it widens the margin."""

import math

import pytest
import torch
from small_recipes import SCENES, small_recipe

from modeling_florenz.data.samples import write_commute
from modeling_florenz.training.fine_tuning import fine_tune
from modeling_florenz.training.preference import preference_loss
from modeling_florenz.training.recipe import parse_recipe
from modeling_florenz.training.recipe_data import load_data


class _Model(torch.nn.Module):
    """Stands in for an adapter on a model: logits are one vector for all places, zero without the adapter."""

    def __init__(self):
        super().__init__()
        self.adapter, self.is_on = torch.nn.Parameter(torch.tensor([0.0, 2.0, -1.0])), True

    def disable_adapter(self):
        model = self

        class _Off:
            def __enter__(self):
                model.is_on = False

            def __exit__(self, *error):
                model.is_on = True

        return _Off()

    def forward(self, input_ids, labels):
        logits = (self.adapter if self.is_on else torch.zeros(3)).expand(*labels.shape, 3)
        return type("Output", (), {"logits": logits})


def test_the_loss_is_that_of_dpo_over_whole_targets_of_different_length():
    model = _Model()
    inputs = {"input_ids": torch.ones(1, 2, dtype=torch.long), "labels": torch.tensor([[1, 1]])}
    loss = preference_loss(model, model, inputs, torch.tensor([[2, 0, 2]]), 0.5)
    logs = torch.log_softmax(model.adapter, -1).tolist()
    policy = 2 * logs[1] - (2 * logs[2] + logs[0])
    reference = -2 * math.log(3) + 3 * math.log(3)
    assert loss.item() == pytest.approx(math.log1p(math.exp(-0.5 * (policy - reference))), abs=1e-5)
    loss.backward()
    assert model.adapter.grad[1] < 0 < model.adapter.grad[2]


@pytest.mark.slow
def test_a_run_starts_at_the_loss_of_indifference_and_ends_below(tmp_path):
    write_commute(tmp_path / "data" / "commute", "dev", [("translate", "fr")])
    data = [{"dataset": "commute", "split": "dev", "languages": ["fr"]}]
    more = {"train_data": data, "data_folder": str(tmp_path / "data"), "max_steps": 8, "learning_rate": 0.01}
    run = fine_tune(small_recipe(tmp_path / "run", preference=0.1, gradient_accumulation_steps=2, **more))
    curve = dict(run.results["loss_curve"])
    assert curve[1] == pytest.approx(math.log(2), abs=0.15)  # dropout changes what the policy says
    assert curve[8] < 0.6


def test_rows_without_an_incorrect_target_are_refused(tmp_path):
    with pytest.raises(ValueError, match="translate/de has rows without one"):
        load_data(parse_recipe(small_recipe(tmp_path / "run", preference=0.1, train_data=SCENES)))
    with pytest.raises(ValueError, match="use lora or qlora"):
        parse_recipe(small_recipe(tmp_path / "run", preference=0.1, method="full"))
