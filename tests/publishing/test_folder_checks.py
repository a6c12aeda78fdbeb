"""What is wrong with a folder is found before anything is pushed."""

import json
from pathlib import Path

import pytest
from pushed_folders import REPO, replace_text
from safetensors.torch import load_file, save_file

from modeling_florenz.cli import main
from modeling_florenz.publishing.push import check_folder, kind_of, listing


def test_a_saved_model_with_its_card_has_nothing_against_it(folder):
    assert kind_of(folder) == "model"
    assert check_folder(folder) == []
    assert "model.safetensors" in dict(listing(folder))


def _lose_a_shard(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    save_file(tensors, folder / "model-00001-of-00002.safetensors")
    names = dict.fromkeys(tensors, "model-00001-of-00002.safetensors")
    names[next(iter(names))] = "model-00002-of-00002.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))


def _claim_gemma(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["hidden_size"] = 2304
    (folder / "config.json").write_text(json.dumps(config))


DEFECTS = {
    "missing code file": (lambda f: (f / "modeling_florenz.py").unlink(), "code file modeling_florenz.py is missing"),
    "changed code file": (
        lambda f: replace_text(f / "modeling_florenz.py", "import torch", "import  torch"),
        "not this package's",
    ),
    "stale auto_map": (
        lambda f: replace_text(f / "config.json", "modeling_florenz.FlorenzFor", "modeling_florenz.OldFor"),
        "which does not exist",
    ),
    "pickle": (lambda f: (f / "pytorch_model.bin").write_bytes(b"x"), "may be pickled"),
    "hidden pickle": (lambda f: (f / "extra.dat").write_bytes(b"\x80\x04abc"), "is pickled whatever its name says"),
    "token": (lambda f: (f / "notes.txt").write_text("hf_" + "a" * 34), "looks like a secret"),
    "missing shard": (_lose_a_shard, "lacks the shard model-00002-of-00002"),
    "broken shard": (lambda f: (f / "model.safetensors").write_bytes(b"123"), "the weights are not complete"),
    "wrong licence": (_claim_gemma, "derive from Gemma: say gemma"),
    "no licence": (lambda f: replace_text(f / "README.md", "license: apache-2.0\n", ""), "names no licence"),
    "unfilled field": (
        lambda f: replace_text(f / "README.md", "# florenz-tiny", "# {{ name }}"),
        "unfilled field {{ name }}",
    ),
    "absent tokenizer": (
        lambda f: (f / "encoder_tokenizer" / "tokenizer.json").unlink(),
        "encoder_tokenizer/tokenizer.json is missing",
    ),
    "broken quick start": (
        lambda f: replace_text(f / "README.md", "from modeling_florenz import", "from import"),
        "does not parse",
    ),
    "quick start of another version": (
        lambda f: replace_text(
            f / "README.md", "modeling_florenz import Captioner", "modeling_florenz import OldCaptioner"
        ),
        "README.md imports OldCaptioner, which this package does not have",
    ),
    "absolute path": (
        lambda f: (f / "notes.txt").write_text("see /home/someone/model"),
        "names a place on this machine",
    ),
    "stray file": (lambda f: (f / "model.partial").write_text("x"), "does not belong"),
    "link": (lambda f: (f / "link.json").symlink_to("/etc/hostname"), "is a link out of the folder"),
    "lost picture": (lambda f: (f / "idea.png").unlink(), "shows the picture idea.png, which is not"),
    "lost licence": (lambda f: (f / "LICENSE").unlink(), "the licence file LICENSE is missing"),
    "notice without Gemma's terms": (
        lambda f: replace_text(f / "README.md", "license: apache-2.0", "license: gemma"),
        'NOTICE must say "Gemma is provided under',
    ),
    "no card": (lambda f: (f / "README.md").unlink(), "there is no README.md"),
}


@pytest.mark.parametrize("defect", list(DEFECTS))
def test_a_planted_defect_is_found_by_a_dry_run(defect, folder, capsys):
    plant, words = DEFECTS[defect]
    plant(folder)
    assert main(["push", str(folder), REPO, "--dry-run"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert any(words in line for line in errors), errors
    assert all(line.startswith("florenz: ") for line in errors)


def test_a_folder_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no model, no adapter and no parquet"):
        kind_of(tmp_path)
