"""A push is checked afterwards: files, visibility, tag, content; a pull never mixes commits."""

import json
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hub_thread import HubThread, talk_to
from huggingface_hub.utils import _http as http_client
from pushed_folders import REPO
from safetensors.torch import load_file, save_file

from modeling_florenz.cli import main
from modeling_florenz.publishing.checks import check_folder, kind_of
from modeling_florenz.publishing.pull import pull
from modeling_florenz.publishing.push import TAG, listing, push


@pytest.fixture
def adapter(folder, tmp_path) -> Path:
    """An adapter's folder, as far as publishing looks at it."""
    place = Path(shutil.copytree(folder, tmp_path / "adapter"))
    for name in ("config.json", "generation_config.json", "model.safetensors", *(p.name for p in place.glob("*.py"))):
        (place / name).unlink()
    save_file(load_file(folder / "model.safetensors"), place / "adapter_model.safetensors")
    (place / "adapter_config.json").write_text('{"base_model_name_or_path": "owner/florenz-tiny"}')
    return place


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with HubThread(tmp_path / "hub") as found:
        talk_to(found, monkeypatch)
        yield found


def _change(folder: Path) -> None:
    path = folder / "README.md"
    path.write_text(path.read_text(encoding="utf-8") + "\nOne more sentence.\n", encoding="utf-8")


def test_the_tag_stays_with_a_word_and_moves_when_asked_to(hub, folder, capsys):
    first = push(folder, REPO)
    assert (first.notes, hub.repo()["tags"]) == ([], {TAG: first.commit})
    _change(folder)
    assert main(["push", str(folder), REPO]) == 0
    said = capsys.readouterr().err
    assert f"florenz: the tag {TAG} stays at the older commit {first.commit}: push again with --retag" in said
    assert hub.repo()["tags"] == {TAG: first.commit}
    _change(folder)
    third = push(folder, REPO, retag=True)
    assert (third.notes, hub.repo()["tags"]) == ([], {TAG: third.commit})
    assert hub.repo()["refs"]["main"] == third.commit


def test_private_onto_a_public_repository_is_refused_before_anything_is_sent(hub, folder):
    push(folder, REPO)
    before = hub.repo()
    _change(folder)
    with pytest.raises(ValueError, match="can be seen by everyone, and --private was asked for; nothing was sent"):
        push(folder, REPO, private=True)
    assert hub.repo() == before


def test_a_private_repository_stays_private_and_it_is_said(hub, folder):
    assert push(folder, REPO, private=True).notes == []
    assert hub.repo()["private"]
    _change(folder)
    assert push(folder, REPO, retag=True).notes == [f"{REPO} is private: only its owner can see it"]


def test_a_model_over_an_adapter_and_the_reverse_leave_nothing_stale(hub, folder, adapter):
    push(folder, REPO)
    (adapter / "recipe.yaml").write_text("model: florenz-tiny\n")
    push(adapter, REPO)
    local = {path.relative_to(adapter).as_posix() for path in adapter.rglob("*") if path.is_file()}
    assert hub.files() == local
    (folder / "idea.png").rename(folder / "unused.png")
    path = folder / "README.md"
    path.write_text(path.read_text(encoding="utf-8").replace("idea.png", "unused.png"), encoding="utf-8")
    push(folder, REPO)
    assert hub.files() == {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_of_both_is_refused(folder, adapter):
    shutil.copy(adapter / "adapter_config.json", folder)
    with pytest.raises(ValueError, match="holds a model and an adapter: keep one of them"):
        kind_of(folder)


def test_a_stored_file_that_is_not_the_folders_is_found(hub, folder, monkeypatch):
    store, describe = hub.handler.store, hub.handler.store.describe

    def lose_a_bit(path, file):
        found = describe(path, file)
        return found | ({"lfs": {**found["lfs"], "oid": "0" * 64}} if "lfs" in found else {})

    monkeypatch.setattr(store, "describe", lose_a_bit)
    with pytest.raises(ValueError, match=r"is there as \w{40}, but 1 files are not those of .*model\.safetensors"):
        push(folder, REPO)
    with pytest.raises(ValueError, match=r"arrived with 1 wrong files \(model\.safetensors\): pull again"):
        pull(REPO, folder.parent / "pulled")
    assert not (folder.parent / "pulled").exists()


def test_a_stored_text_that_is_not_the_folders_is_found_without_fetching_it(hub, folder, monkeypatch):
    store, describe, resolve = hub.handler.store, hub.handler.store.describe, hub.handler.resolve
    fetched = []
    monkeypatch.setattr(hub.handler, "resolve", lambda self, *names: (fetched.append(names), resolve(self, *names)))
    push(folder, REPO)

    def change_the_card(path, file):
        return describe(path, file) | ({"oid": "0" * 40} if path == "README.md" else {})

    monkeypatch.setattr(store, "describe", change_the_card)
    _change(folder)
    with pytest.raises(ValueError, match=r"is there as \w{40}, but 1 files are not those of .*README\.md"):
        push(folder, REPO)
    assert fetched == []
    with pytest.raises(ValueError, match=r"arrived with 1 wrong files \(README\.md\): pull again"):
        pull(REPO, folder.parent / "pulled")


@pytest.mark.slow
def test_random_faults_lose_nothing_and_no_part_of_a_commit_is_ever_visible(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(http_client, "time", SimpleNamespace(sleep=lambda seconds: None, time=time.time))
    whole, pushed = {name for name, _ in listing(folder)}, 0
    for seed in range(20):
        with HubThread(tmp_path / f"hub{seed}", seed=seed, share=0.15) as hub:
            talk_to(hub, monkeypatch)
            try:
                push(folder, REPO)
            except ValueError as error:
                assert len(str(error)) < 400
                assert "\n" not in str(error)
            else:
                pushed += 1
                assert hub.files() == whole
            repo = hub.repo() or {"commits": {}}
            assert all(set(commit) in (set(), whole) for commit in repo["commits"].values())
    print(f"{pushed} of 20 pushes went through")
    assert pushed > 6


TOKEN = "hf_" + "a" * 34
SECRETS = {
    ".env": f"HF_TOKEN={TOKEN}",
    "train.sh": f"export HF_TOKEN={TOKEN}",
    "notes.ipynb": json.dumps({"cells": [{"source": [f"login('{TOKEN}')"]}]}),
    "settings.toml": f'token = "{TOKEN}"',
    "aws.ini": "[default]\naws_secret_access_key = wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
    "run.log": "x" * (1 << 20) + "\nwandb: WANDB_API_KEY=0123456789abcdef0123456789abcdef01234567",
    "key": "-----BEGIN OPENSSH PRIVATE KEY-----\nabc",
    "clone": "git clone https://me:verysecret@huggingface.co/owner/name",
    "folder/.env.local": "DEBUG=1",
    "id_ed25519": "looks harmless",
}


@pytest.mark.parametrize("name", list(SECRETS))
def test_a_secret_is_found_whatever_the_file_is_called(name, folder):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(SECRETS[name])
    [finding] = check_folder(folder)
    assert finding.startswith((f"{name} holds what looks like a secret (", f"{name} is where secrets are kept"))


def test_a_secret_in_utf_16_is_found(folder):
    (folder / "notes.txt").write_text(f"token: {TOKEN}", encoding="utf-16")
    assert check_folder(folder) == [
        "notes.txt holds what looks like a secret (hf_aaa...): remove it and make a new one"
    ]


@pytest.mark.parametrize(
    "name",
    [
        ".DS_Store",
        "._README.md",
        "Thumbs.db",
        "wandb/run-1/files/output.txt",
        "runs/events.out.tfevents.1764.host",
        ".ipynb_checkpoints/a.ipynb",
        "notes.txt~",
    ],
)
def test_what_systems_and_tools_leave_is_named(name, folder):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"\0\1")
    assert check_folder(folder) == [f"{name} does not belong in a published folder: remove it"]


def test_a_pull_of_another_commit_starts_afresh_and_of_the_same_one_goes_on(hub, folder, tmp_path):
    first = push(folder, REPO).commit
    partial = tmp_path / "pulled.owner--florenz-tiny--main.partial"
    (partial / ".cache").mkdir(parents=True)
    (partial / ".cache" / "commit").write_text("0" * 40)
    (partial / "model-00001-of-00002.safetensors").write_bytes(b"of an older commit")
    shutil.copy(folder / "model.safetensors", partial)
    (partial / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-4] + b"\0\0\0\0")
    pull(REPO, tmp_path / "pulled")
    assert (tmp_path / "pulled" / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    assert check_folder(tmp_path / "pulled") == []
    assert not list((tmp_path / "pulled").glob("model-*"))
    partial = tmp_path / "again.owner--florenz-tiny--main.partial"
    (partial / ".cache").mkdir(parents=True)
    (partial / ".cache" / "commit").write_text(first)
    (partial / "marker").write_text("x")
    seen = []
    original = hub.handler.resolve

    def look(self, kind, name, revision, path):
        seen.append(((partial / "marker").exists(), revision))
        return original(self, kind, name, revision, path)

    hub.handler.resolve = look
    pull(REPO, tmp_path / "again")
    assert set(seen) == {(True, first)}
