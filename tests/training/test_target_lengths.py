"""Targets above the limit are counted before the first step, and said once."""

import json
import warnings
from pathlib import Path

import pytest
import yaml
from PIL import Image

from modeling_florenz.cli import main
from modeling_florenz.data.rows import Rows
from modeling_florenz.inference.captioner import BUNDLED_MODEL
from modeling_florenz.processing_florenz import FlorenzProcessor
from modeling_florenz.training.target_lengths import warn_of_cut_targets
from modeling_florenz.training.training_data import TrainingCollator


class Texts:
    def __init__(self, *targets: str) -> None:
        self.targets = list(targets)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> dict:
        raise AssertionError("an image was opened")

    def column(self, name: str) -> list[str]:
        return {"target": self.targets}[name]

    def without_images(self) -> list[dict]:
        return [{"target": target} for target in self.targets]

    def contrasts(self) -> Rows | None:
        return None


def test_cut_targets_are_counted_over_all_groups_and_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    processor = FlorenzProcessor.from_pretrained(BUNDLED_MODEL)
    long = "Ein Bild mit Hund, Katze und Fahrrad. " * 60
    groups = [Texts("Ein Hund.", long, long), Texts("图片：狗。", "狗" * 500)]
    assert warn_of_cut_targets(groups, processor) == 3
    [record] = caplog.records
    assert record.getMessage().startswith("3 of 5 targets for training have more than 128 tokens and are cut")


def test_nothing_is_said_where_nothing_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    processor = FlorenzProcessor.from_pretrained(BUNDLED_MODEL)
    assert warn_of_cut_targets([Texts("Ein Hund.", "x" * 120)], processor) == 0
    assert not caplog.records


def test_a_batch_with_a_cut_target_says_nothing_more_and_has_no_end_there() -> None:
    processor = FlorenzProcessor.from_pretrained(BUNDLED_MODEL)
    row = {"image": Image.new("RGB", (4, 4)), "task": "caption", "language": "de", "source": "", "key": "a"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labels = TrainingCollator(processor)([{**row, "target": "Hund " * 200}, {**row, "target": "Hund."}])["labels"]
    end = processor.tokenizer.eos_token_id
    assert labels.shape[1] == processor.max_target_length
    assert (labels == end).sum(1).tolist() == [0, 1]


def test_a_long_caption_is_told_of_once_and_trained_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (40, 30), "red").save(folder / "a.png")
    (folder / "a.txt").write_text("Ein Bild mit Hund, Katze und Fahrrad. " * 60 + "Ende.\n", encoding="utf-8")
    data = [{"dataset": "folder", "folder": "photos", "languages": ["de"]}]
    recipe = {"model": "florenz-tiny", "method": "lora", "lora_rank": 2, "max_steps": 2, "warmup_steps": 0}
    recipe |= {"train_data": data, "data_folder": str(tmp_path), "per_device_train_batch_size": 2}
    recipe |= {"use_cpu": True, "disable_tqdm": True, "output_dir": str(tmp_path / "run")}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert main(["train", str(tmp_path / "recipe.yaml")]) == 0
    told = [record.getMessage() for record in caplog.records if "are cut" in record.getMessage()]
    assert len(told) == 1 and told[0].startswith("1 of 1 targets for training have more than 128 tokens")
    results = json.loads((tmp_path / "run" / "adapter" / "results.json").read_text(encoding="utf-8"))
    assert results["cut_targets"] == 1


def test_contrasts_too_long_to_be_scored_are_refused_before_any_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = tmp_path / "commute" / "en-de"
    texts.mkdir(parents=True)
    for name, lines in {
        "src.en": ["The bank.", "The bank."],
        "correct.de": ["Die Bank.", "Das Ufer " * 200],
        "incorrect.de": ["Das Ufer.", "Die Bank."],
        "img.order": ["a.png", "b.png"],
    }.items():
        (texts / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    recipe = {
        "model": "florenz-tiny",
        "train_data": [{"dataset": "emoji_scenes", "task": "translate", "languages": ["de"], "examples": 4}],
        "eval_data": [{"dataset": "commute", "languages": ["de"], "split": "test"}],
        "data_folder": str(tmp_path),
        "stand_in": True,
        "eval_strategy": "steps",
        "max_steps": 2,
        "use_cpu": True,
        "output_dir": str(tmp_path / "run"),
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert main(["train", str(tmp_path / "recipe.yaml")]) == 2
    assert "the text 'Das Ufer Das Ufer" in capsys.readouterr().err
