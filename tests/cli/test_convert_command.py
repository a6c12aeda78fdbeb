"""`florenz convert`, `build` and `inspect`: whole folders or none, and one sentence for every bad source."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from research_checkpoint import write_research_checkpoint
from safetensors.torch import load_file, save_file
from tiny_models import KINDS, tiny_config, tiny_inputs, tiny_labels

from modeling_florenz import FlorenzForConditionalGeneration
from modeling_florenz.checkpoint import model_folder
from modeling_florenz.checkpoint.conversion import load_research_checkpoint
from modeling_florenz.checkpoint.licences import license_of
from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.cli import main
from modeling_florenz.resumable import hold


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_research_checkpoint(tmp_path / "source", tiny_config("gemma2"), max_shard_bytes=10**6)


@pytest.mark.parametrize("kind", KINDS)
def test_converted_folder_gives_the_logits_of_the_checkpoint(kind: str, tmp_path: Path) -> None:
    source = write_research_checkpoint(tmp_path / "source", tiny_config(kind))
    assert main(["convert", str(source), str(tmp_path / "out"), "--no-processor", "--max-shard-size", "1MB"]) == 0
    inputs = {**tiny_inputs(), "labels": tiny_labels()}
    with torch.no_grad():
        ours = FlorenzForConditionalGeneration.from_pretrained(tmp_path / "out").eval()(**inputs).logits
        assert torch.equal(ours, load_research_checkpoint(source)(**inputs).logits)


@pytest.mark.parametrize("kind", KINDS)
def test_folder_holds_what_save_pretrained_writes(kind: str, tmp_path: Path) -> None:
    source = write_research_checkpoint(tmp_path / "source", tiny_config(kind))
    stated = {"gemma2": "gemma", "bart": "mit"}[kind]
    (source / "README.md").write_text(f"---\nlicense: {stated}\n---\n")
    assert main(["convert", str(source), str(tmp_path / "out"), "--no-processor"]) == 0
    assert license_of(tmp_path / "out") == stated
    FlorenzForConditionalGeneration.from_pretrained(tmp_path / "out").save_pretrained(tmp_path / "saved")
    names = {path.name for path in (tmp_path / "saved").iterdir()}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names | {
        "README.md",
        "LICENSE",
        "NOTICE",
        "processing_florenz.py",
    }
    assert json.loads((tmp_path / "out" / "config.json").read_text()) == json.loads(
        (tmp_path / "saved" / "config.json").read_text()
    )
    assert ("Gemma is provided under" in (tmp_path / "out" / "NOTICE").read_text()) == (kind == "gemma2")


def test_a_licence_that_is_not_stated_is_not_invented(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_research_checkpoint(tmp_path / "source", tiny_config("gemma2"))
    assert main(["convert", str(source), str(tmp_path / "out"), "--no-processor"]) == 0
    assert "source: no licence is stated, so none was written" in capsys.readouterr().err
    assert not (tmp_path / "out" / "LICENSE").exists()
    assert not (tmp_path / "out" / "NOTICE").exists()
    assert license_of(tmp_path / "out") == "unknown"


def test_verification_prints_checksums(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["convert", str(source), str(tmp_path / "out"), "--no-processor", "--verify", "--dtype", "bf16"]
    assert main(command) == 0
    assert "tensors equal their sources" in capsys.readouterr().out
    assert {tensor.dtype for tensor in load_file(tmp_path / "out" / "model.safetensors").values()} == {torch.bfloat16}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_killed_conversion_leaves_nothing_that_looks_whole(seed: int, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    before = {path.name: path.read_bytes() for path in source.iterdir()}
    # Slowed down, so that the kill comes while tensors are written.
    code = (
        "import sys, time; from modeling_florenz import cli\n"
        "from modeling_florenz.checkpoint import tensor_stream as t\n"
        "pieces = t.StoredTensor.pieces\n"
        "t.StoredTensor.pieces = lambda tensor: (time.sleep(0.01), pieces(tensor))[1]\n"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    command = ["convert", str(source), str(out), "--no-processor"]
    process = subprocess.Popen([sys.executable, "-c", code, *command], stderr=subprocess.DEVNULL)
    while not (tmp_path / "out.partial").exists():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(random.Random(seed).uniform(0.0, 2.0))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    assert main(command) == 0
    assert not (tmp_path / "out.partial").exists()
    assert FlorenzForConditionalGeneration.from_pretrained(out).num_parameters() == 906_964
    assert {path.name: path.read_bytes() for path in source.iterdir()} == before


def drop_shard(source: Path) -> None:
    (source / "model-00002-of-00004.safetensors").unlink()


def rename_tensor(source: Path) -> None:
    path = source / "model-00001-of-00004.safetensors"
    state = load_file(path)
    state["strange.weight"] = state.pop(next(iter(state)))
    save_file(state, path)


def reshape_tensor(source: Path) -> None:
    path = source / "model-00001-of-00004.safetensors"
    state = load_file(path)
    name = next(iter(state))
    state[name] = state[name].reshape(1, -1)
    save_file(state, path)


def cut_file(source: Path) -> None:
    path = source / "model-00001-of-00004.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


def pickle_only(source: Path) -> None:
    for path in source.glob("*.safetensors*"):
        path.unlink()
    (source / "pytorch_model.bin").write_bytes(b"\x80\x04K\x01.")


def break_json(source: Path) -> None:
    (source / "config.json").write_text("{")


def unknown_value(source: Path) -> None:
    config = json.loads((source / "config.json").read_text())
    config["text_config"]["surprise"] = 3
    (source / "config.json").write_text(json.dumps(config))


def other_width(source: Path) -> None:
    config = json.loads((source / "config.json").read_text())
    config["text_config"]["gemma_config"]["intermediate_size"] = 95
    (source / "config.json").write_text(json.dumps(config))


def link_out(source: Path) -> None:
    path = source / "model-00001-of-00004.safetensors"
    target = source.parent / "elsewhere.safetensors"
    path.rename(target)
    path.symlink_to(target)


def shard_outside(source: Path) -> None:
    path = source / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"] = dict.fromkeys(index["weight_map"], "../elsewhere.safetensors")
    path.write_text(json.dumps(index))


def no_config(source: Path) -> None:
    (source / "config.json").unlink()


def native_model(source: Path) -> None:
    shutil.copyfile(BUNDLED_MODEL / "config.json", source / "config.json")


BAD_SOURCES = [
    (drop_shard, "lacks the shard model-00002-of-00004.safetensors"),
    (rename_tensor, "the tensor strange.weight is unknown"),
    (reshape_tensor, "has shape [1,"),
    (cut_file, "could not be read as safetensors"),
    (pickle_only, "holds only pickled weights (pytorch_model.bin)"),
    (break_json, "config.json could not be read"),
    (unknown_value, "text_config.surprise = 3 is unknown"),
    (other_width, "but the config asks for [95"),
    (link_out, "is a link out of its folder"),
    (shard_outside, "names no shard, or one outside its folder"),
    (no_config, "config.json does not exist"),
    (native_model, "config.json: "),
]


@pytest.mark.parametrize(("spoil", "message"), BAD_SOURCES, ids=lambda value: getattr(value, "__name__", ""))
def test_bad_sources_get_one_sentence(
    spoil: Callable[[Path], None], message: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(source)
    assert main(["convert", str(source), str(tmp_path / "out"), "--no-processor"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.strip().count("\n") == 0 and "Traceback" not in error
    assert not (tmp_path / "out").exists()


def refused(command: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and "\n" not in error


def test_a_full_disk_is_told_before_writing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(model_folder.shutil, "disk_usage", lambda path: usage)
    refused(["convert", str(source), str(tmp_path / "out"), "--no-processor"], "GB are needed", capsys)
    assert not (tmp_path / "out.partial").exists()


def test_an_older_output_is_never_touched(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("kept")
    refused(["convert", str(source), str(tmp_path / "out"), "--no-processor"], "exists already", capsys)
    assert (tmp_path / "out" / "mine").read_text() == "kept"


def test_two_runs_do_not_write_one_folder(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with hold(tmp_path / "out"):
        (tmp_path / "out.partial").mkdir()
        for _ in range(2):  # a refused run must not remove the lock, nor what the other has written
            refused(
                ["convert", str(source), str(tmp_path / "out"), "--no-processor"], "another run is writing", capsys
            )
        assert (tmp_path / "out.partial").exists()
        assert not (tmp_path / "out").exists()
    assert main(["convert", str(source), str(tmp_path / "out"), "--no-processor"]) == 0
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_told(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    refused(["convert", str(source), str(tmp_path / "locked" / "out"), "--no-processor"], "Permission", capsys)


def test_an_unreachable_repository_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(["convert", "nobody/nothing", str(tmp_path / "out")], "could not be fetched from the Hub", capsys)
    refused(["convert", "./nothing", str(tmp_path / "out")], "is neither a folder here nor a repository", capsys)


def test_a_processor_that_cannot_be_fetched_is_told(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(["convert", str(source), str(tmp_path / "out")], "microsoft/Florence-2-large", capsys)


def test_loading_a_research_checkpoint_names_the_command(source: Path) -> None:
    with pytest.raises(ValueError, match="florenz convert SRC OUT"):
        FlorenzForConditionalGeneration.from_pretrained(source)


def test_inspect_tells_the_published_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from modeling_florenz.sizes import config_from_size

    config_from_size("3.5b").save_pretrained(tmp_path)
    assert main(["inspect", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["size"], found["license"], found["decoder"]) == ("3.5b", None, "gemma2")  # none is stated
    (tmp_path / "README.md").write_text("---\nlicense: gemma\n---\n")
    assert main(["inspect", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["license"] == "gemma"
    assert found["parameters"]["total"] == 3_485_001_498
    assert found["trainable"] == 1_097_649_690
    assert main(["inspect", str(tmp_path)]) == 0
    assert "3,485,001,498  total" in capsys.readouterr().out


def test_inspect_refuses_another_kind_of_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    refused(["inspect", str(tmp_path)], "is a 'bert' model", capsys)
