"""What a model rehearses is made once, whatever ends or shares the run."""

import threading
import time

import pytest
import torch
from PIL import Image

from modeling_florenz.training.rehearsal import rehearse


ROWS = [{"image": Image.new("RGB", (4, 4)), "source": f"number {index}", "target": "-"} for index in range(5)]
GROUPS = {"caption/en": ROWS, "translate/de": ROWS}


class Inputs(dict):
    def to(self, device):
        return self


class Settings:
    def to_dict(self):
        return {}


class Processor:
    max_target_length = 8

    def save_pretrained(self, folder):
        pass

    def __call__(self, images, text, task, language, image_size):
        return Inputs(count=len(images))

    def decode_generated(self, ids):
        # Some models write such a break of a line, which ends no line of JSON.
        return [f"text\u2028{number}" for number in ids]


class Model(torch.nn.Module):
    device = torch.device("cpu")
    config = Settings()

    def __init__(self, weight=0.0):
        super().__init__()
        self.asked = 0
        self.register_buffer("weight", torch.tensor([weight]))

    def can_generate(self):
        return False

    def generate(self, count, **settings):
        self.asked += count
        time.sleep(0.05)
        return range(self.asked - count, self.asked)


def _rehearse(model, path, seed=0, count=6):
    return rehearse(model, Processor(), GROUPS, ["en", "de"], count, seed, path, batch_size=2)


def test_two_processes_that_train_together_write_each_text_once_and_read_the_same(tmp_path):
    models, found = (Model(), Model()), {}

    def work(number):
        found[number] = _rehearse(models[number], tmp_path / "rehearsal.jsonl").entries

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(model.asked for model in models) == [0, 6]
    assert found[0] == found[1]
    assert (tmp_path / "rehearsal.jsonl").read_bytes().count(b"\n") == 6


def test_what_a_killed_run_made_is_not_made_again(tmp_path):
    path = tmp_path / "rehearsal.jsonl"
    whole = _rehearse(Model(), path).entries
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join(lines[:3]) + b"\n" + lines[3][:20])
    model = Model()
    again = _rehearse(model, path).entries
    assert model.asked == 3
    assert [entry["row"] for entry in again] == [entry["row"] for entry in whole]
    assert path.read_bytes().count(b"\n") == 6


def test_what_another_model_made_is_refused(tmp_path):
    _rehearse(Model(), tmp_path / "rehearsal.jsonl")
    with pytest.raises(
        ValueError, match=r"rehearsal\.jsonl was made with other settings \(weights_digest\): remove both"
    ):
        _rehearse(Model(1.0), tmp_path / "rehearsal.jsonl")


def test_what_was_made_for_another_image_is_refused(tmp_path, monkeypatch):
    _rehearse(Model(), tmp_path / "rehearsal.jsonl")
    monkeypatch.setitem(GROUPS, "caption/en", [{**row, "image": Image.new("RGB", (4, 4), "red")} for row in ROWS])
    monkeypatch.setitem(GROUPS, "translate/de", [{**row, "source": "another"} for row in ROWS])
    with pytest.raises(ValueError, match="was made for another image or text, such as draw"):
        _rehearse(Model(), tmp_path / "rehearsal.jsonl")


def test_what_was_made_for_other_data_is_refused(tmp_path):
    _rehearse(Model(), tmp_path / "rehearsal.jsonl")
    with pytest.raises(ValueError, match=r"rehearsal\.jsonl was made for other data: remove it"):
        _rehearse(Model(), tmp_path / "rehearsal.jsonl", seed=1)
    with pytest.raises(ValueError, match="was made for other data"):
        _rehearse(Model(), tmp_path / "rehearsal.jsonl", count=5)
