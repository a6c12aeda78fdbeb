"""Data that cannot be trained on: the command says so in one sentence, every process ends, nothing is saved half."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hub_datasets import publish, write_parquet
from hub_thread import HubThread, talk_to
from small_recipes import small_recipe, write_photos
from torch.distributed import DistBackendError

from modeling_florenz.cli import main
from modeling_florenz.training.lost_process import lost_process_said
from modeling_florenz.yaml_files import to_yaml


COLUMNS = {"image": "photo", "target": "words", "language": "code"}
TABLE = {"dataset": "hub", "folder": "table", "columns": COLUMNS, "languages": ["de"]}


def _recipe(folder: Path, **more: Any) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(to_yaml(small_recipe(folder / "run", data_folder=str(folder), **more)), encoding="utf-8")
    return path


def _refused(folder: Path, capsys: pytest.CaptureFixture[str], **more: Any) -> str:
    assert main(["train", str(_recipe(folder, **more))]) == 2
    said = _sentences(capsys.readouterr().err)
    assert len(said) == 1
    assert not any((folder / "run" / name).exists() for name in ("adapter", "model"))
    return said[0]


def _sentences(said: str) -> list[str]:
    """Return what the command says, without the outlook that a run begins with."""
    return [line for line in said.splitlines() if line.startswith("florenz: ") and not line.endswith(" first step:")]


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("bytes", {"columns": {**COLUMNS, "target": "caption"}}, "has no column 'caption', only photo, words, code"),
        ("bytes", {"columns": {**COLUMNS, "image": "picture"}}, "has no column 'picture', only photo, words, code"),
        ("path", {}, "holds 'photos/0.png', not an image or a file of the dataset"),
        ("url", {}, "the image is an address, https://example.com/0.png: download the images first"),
        ("number", {}, "holds int64, not images: name another in columns"),
        ("bytes", {"split": "validation"}, "no file of the split 'validation': name another split"),
        ("bytes", {"languages": ["zh"]}, "holds no row in zh: name another"),
    ],
    ids=["column", "image column", "paths elsewhere", "addresses", "numbers", "no split", "no rows"],
)
def test_a_table_that_does_not_fit_is_refused_before_the_model_is_loaded(kind, changes, words, tmp_path, capsys):
    write_parquet(tmp_path / "table" / "train.parquet", kind=kind)
    write_parquet(tmp_path / "table" / "test.parquet", kind=kind)
    assert words in _refused(tmp_path, capsys, train_data=[{**TABLE, **changes}])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"eval_metrics": ["contrastive_accuracy"]}, "no row of eval_data has an incorrect target"),
        ({"eval_metrics": ["chrf"]}, "eval_metrics has chrf, which is for translate, but eval_data holds caption/de"),
        ({"eval_metrics": ["exact"], "metric_for_best_model": "exact/fr"}, "must be one of loss, exact/de, not"),
    ],
    ids=["contrasts", "translations", "language"],
)
def test_a_measure_without_rows_in_the_evaluation_data_is_refused(changes, words, tmp_path, capsys):
    write_parquet(tmp_path / "table" / "train.parquet")
    more = {"train_data": [TABLE], "eval_data": [TABLE], "eval_strategy": "steps", "eval_steps": 2, **changes}
    assert words in _refused(tmp_path, capsys, **more)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_that_ends_while_training_leaves_the_last_whole_checkpoint(workers, tmp_path, monkeypatch, capsys):
    write_parquet(tmp_path / "photos" / "train.parquet", count=64)
    place = {"dataset": "hub", "repo": "owner/photos", "columns": COLUMNS, "languages": ["de"], "streaming": True}
    with HubThread(tmp_path / "hub") as hub:
        talk_to(hub, monkeypatch)
        publish(hub, tmp_path / "photos")
        resolve = hub.handler.resolve

        def end(self: Any, *rest: Any) -> None:
            # Texts are read first, then row group by row group of images.
            if (tmp_path / "run" / "checkpoint-2").exists():
                self.missing("EntryNotFound")
            else:
                resolve(self, *rest)

        monkeypatch.setattr(hub.handler, "resolve", end)
        more = {"train_data": [place], "max_steps": 16, "dataloader_num_workers": workers, "save_steps": 2}
        more |= {"dataloader_prefetch_factor": 1} if workers else {}
        said = _refused(tmp_path, capsys, **more)
    assert "train.parquet of owner/photos at main could not be read" in said
    assert "run the same command again" in said
    whole = json.loads((tmp_path / "run" / "checkpoint-2" / "trainer_state.json").read_text(encoding="utf-8"))
    assert whole["global_step"] == 2


@pytest.mark.parametrize(
    "error", [RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer"), DistBackendError("NCCL")]
)
def test_that_another_process_ended_is_said_in_one_sentence(error):
    with pytest.raises(ValueError, match="another process of this training ended: fix"), lost_process_said():
        raise error
    with pytest.raises(RuntimeError, match="shapes"), lost_process_said():
        raise RuntimeError("shapes do not fit")


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "while"])
def test_what_fails_in_one_of_two_processes_ends_both(when, tmp_path):
    for rank in ("0", "1"):
        write_parquet(tmp_path / f"data-{rank}" / "table" / "train.parquet", count=64, kind="path")
        write_photos(tmp_path / f"data-{rank}" / "table" / "photos", 64)
    other = tmp_path / "data-1" / "table"
    if when == "before":
        (other / "train.parquet").unlink()
    path = _recipe(tmp_path, train_data=[TABLE], max_steps=30)
    own = path.read_text().replace(f"data_folder: {tmp_path}", f"data_folder: {tmp_path}/data-${{LOCAL_RANK}}")
    path.write_text(own)
    assert "LOCAL_RANK" in own
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "0"]
    command += ["--rdzv_backend", "c10d", "--rdzv_endpoint", "localhost:0", "-m", "modeling_florenz.cli", "train"]
    with subprocess.Popen(
        [*command, str(path)], stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as process:
        if when == "while":
            while process.poll() is None and not (tmp_path / "run" / "checkpoint-2" / "trainer_state.json").exists():
                pass
            for picture in (other / "photos").glob("*.png"):
                picture.unlink()
        _, said = process.communicate(timeout=300)
    assert process.returncode != 0
    print(said)
    found = _sentences(said)
    # The other process may be ended before it finds out.
    assert len([line for line in found if "another process of this training ended" not in line]) == 1
    assert "[rank" not in said
    assert not (tmp_path / "run" / "adapter").exists()
    for checkpoint in (tmp_path / "run").glob("checkpoint-*"):
        assert (checkpoint / "trainer_state.json").exists()
