"""What stands beside a number says what ran, on what, and nothing about the machine's folders."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import modeling_florenz
from modeling_florenz import run_record
from modeling_florenz.run_record import command, git_commit, shorten


def test_a_record_names_versions_hardware_commit_and_command():
    record = run_record.run_record()
    assert list(record) == ["versions", "hardware", "git_commit", "command"]
    assert record["versions"]["modeling_florenz"] == modeling_florenz.__version__
    assert record["versions"]["torch"] == torch.__version__
    assert record["hardware"]
    assert record["command"]


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["/opt/venv/bin/florenz", "train", "emoji_lora"], "florenz train emoji_lora"),
        (
            ["-m", "modeling_florenz.tiny.evaluate", "model folder"],
            "python -m modeling_florenz.tiny.evaluate 'model folder'",
        ),
        (["/home/me/run.py", "--data", "/home/me/data/"], "python run.py --data data"),
        (["-c", "import os\nprint(1)"], "python -c ..."),
        ([], "python"),
    ],
)
def test_a_command_is_one_that_others_can_run(arguments, shown, monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["/opt/venv/bin/python", *arguments])
    assert command() == shown


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("output_dir=/home/me/runs/it", "output_dir=it"),
        ("train_data=[{dataset: folder, folder: ~/photos/mine}]", "train_data=[{dataset: folder, folder: mine}]"),
        (r"--data=C:\Users\me\data", "--data=data"),
        ("/", "."),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("runs/it/../it", "runs/it/../it"),
        ("owner/name", "owner/name"),
        ("hub_token=hf_abcdefghijkl", "hub_token=..."),
        ("{hub_token: secret, steps: 3}", "{hub_token: ..., steps: 3}"),
        ("hf_abcdefghijkl", "..."),
    ],
)
def test_folders_of_this_machine_and_tokens_are_left_out(text, short):
    assert shorten(text) == short


@pytest.fixture
def clone(tmp_path, monkeypatch) -> Path:
    """Put the module into a clone with one commit."""

    def git(*arguments):
        identity = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    path = tmp_path / "package" / "run_record.py"
    path.parent.mkdir()
    shutil.copy(run_record.__file__, path)
    (tmp_path / "notes.txt").write_text("one")
    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    monkeypatch.setattr(run_record, "__file__", str(path))
    return tmp_path


def test_the_commit_tells_whether_the_package_was_changed_since(clone):
    commit = git_commit()
    assert len(commit) == 40
    (clone / "notes.txt").write_text("results of the run")
    assert git_commit() == commit
    (clone / "package" / "run_record.py").write_text("changed")
    assert git_commit() == f"{commit}-dirty"


def test_a_package_that_is_only_installed_in_a_clone_has_no_commit(clone, monkeypatch):
    installed = clone / ".venv" / "run_record.py"
    installed.parent.mkdir()
    installed.touch()
    monkeypatch.setattr(run_record, "__file__", str(installed))
    assert git_commit() is None


def test_without_git_there_is_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git_commit() is None
