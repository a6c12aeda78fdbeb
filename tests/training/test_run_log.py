"""The record of a run is read from its log, over all its parts."""

import json
import signal
from typing import Any

import pytest
from small_recipes import small_recipe, write_photos

from modeling_florenz.cli import main
from modeling_florenz.training.fine_tuning import fine_tune
from modeling_florenz.training.run_log import measures, read_log
from modeling_florenz.training.stop_signals import TrainingStopped
from modeling_florenz.training.training_data import TrainingCollator


# What no two runs share.
OWN = ("seconds", "peak_memory_gb", "command")


def test_the_training_loss_is_the_mean_over_all_steps_whatever_the_intervals():
    whole = [{"step": 4, "loss": 3.0}, {"step": 8, "loss": 1.0}]
    parts = [{"step": 1, "loss": 6.0}, {"step": 4, "loss": 2.0}, {"step": 6, "loss": 1.5}, {"step": 8, "loss": 0.5}]
    for history in (whole, parts):
        log = read_log(history, every=4)
        assert log.training_loss == 2.0
        assert log.loss_curve == [(4, 3.0), (8, 1.0)]
    assert len(read_log(parts).loss_curve) == 4


def test_what_was_counted_is_summed_and_the_largest_process_named():
    history: list[dict[str, Any]] = [
        {"step": 1, "loss": 1.0, "examples": 4, "tokens": 9, "seconds": 1.5, "peak_memory_gb": 2.0, "skipped": ["a"]},
        {"step": 1, "eval_loss": 3.0, "eval_runtime": 8.0},
        {"step": 2, "loss": 1.0, "examples": 4, "tokens": 8, "seconds": 2.5, "peak_memory_gb": 1.0},
    ]
    log = read_log(history)
    assert (log.examples, log.tokens, log.seconds, log.peak_memory_gb, log.skipped) == (8, 17, 4.0, 2.0, ["a"])
    assert log.metrics == [(1, {"eval_loss": 3.0})]


def test_a_log_without_steps_has_no_loss():
    assert read_log([]).training_loss is None
    assert measures({"eval_bleu/de": 1.0, "eval_samples_per_second": 2.0, "epoch": 1}) == {"eval_bleu/de": 1.0}


def _record(folder) -> tuple[dict[str, Any], str]:
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return {key: value for key, value in results.items() if key not in OWN}, (folder / "README.md").read_text("utf-8")


def _signal_at(batch: int, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(range(-2, 10_000))  # the first two batches are not trained on: memory is estimated by them
    whole = TrainingCollator.__call__

    def collate(self: TrainingCollator, rows: Any) -> Any:
        if next(calls) == batch:
            signal.raise_signal(number)
        return whole(self, rows)

    monkeypatch.setattr(TrainingCollator, "__call__", collate)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_the_record_is_that_of_a_run_without_it(number, tmp_path, monkeypatch):
    photos = write_photos(tmp_path / "photos")
    (photos / "2.png").write_bytes(b"this is not an image")
    shape: dict[str, Any] = {
        "train_data": [{"dataset": "folder", "folder": "photos"}],
        "data_folder": str(tmp_path),
        "max_steps": 7,
        "save_steps": 3,
        "logging_steps": 3,
        "learning_rate": 0.01,
        "eval_data": [{"dataset": "folder", "folder": "photos"}],
    }
    whole = fine_tune(small_recipe(tmp_path / "whole", **shape))
    values = small_recipe(tmp_path / "stopped", **shape)
    with monkeypatch.context() as patch:
        _signal_at(5, number, patch)
        with pytest.raises(TrainingStopped, match="which was saved; run the same command again") as stop:
            fine_tune(values)
    assert stop.value.step in (4, 5)
    assert (tmp_path / "stopped" / f"checkpoint-{stop.value.step}" / "trainer_state.json").is_file()
    assert not (tmp_path / "stopped" / "adapter").exists()
    resumed = fine_tune(values)
    assert _record(resumed.folder) == _record(whole.folder)
    assert resumed.results["examples"] == 12  # two of fourteen draws could not be shown
    assert len(resumed.results["skipped"]) == 2
    stamp = (resumed.folder / "results.json").stat().st_mtime_ns
    assert fine_tune(values).results["training_loss"] == whole.results["training_loss"] > 0.001
    assert (resumed.folder / "results.json").stat().st_mtime_ns == stamp


def test_the_command_says_that_it_was_stopped_and_leaves_as_the_shell_expects(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    _signal_at(1, signal.SIGTERM, monkeypatch)
    sets = ("output_dir=run", "max_steps=4", "use_cpu=true", "rehearsal=0", "per_device_train_batch_size=2")
    assert (
        main(["train", "emoji_lora", *(part for value in sets for part in ("--set", value))]) == 128 + signal.SIGTERM
    )
    assert "SIGTERM: stopped after step" in capsys.readouterr().err


def test_a_run_that_lost_its_result_makes_it_again_from_its_last_checkpoint(tmp_path):
    values = small_recipe(tmp_path / "run")
    first = _record(fine_tune(values).folder)
    (tmp_path / "run" / "adapter" / "results.json").unlink()
    assert _record(fine_tune(values).folder) == first


def test_a_run_is_made_longer_but_never_shorter(tmp_path, caplog):
    fine_tune(small_recipe(tmp_path / "run", max_steps=2))
    longer = fine_tune(small_recipe(tmp_path / "run", max_steps=4, save_steps=1, report_to="none"))
    assert longer.results["steps"] == 4
    assert "max_steps was raised from 2 to 4" in caplog.text
    with pytest.raises(ValueError, match="a run with max_steps 4, and 3 is asked for: a run can only be made longer"):
        fine_tune(small_recipe(tmp_path / "run", max_steps=3))
