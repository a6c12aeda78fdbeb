"""The report on an installation: what is there, what is missing, what is wrong; no finding ends the report."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from modeling_florenz.cli import main
from modeling_florenz.inference import doctor


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    from modeling_florenz.inference import captioner

    def broken(*given: object) -> None:
        raise RuntimeError("the weights\nare gone")

    monkeypatch.setattr(captioner, "Captioner", broken)


def test_an_installation_that_works_is_fine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    output = capsys.readouterr().out
    assert f"torch {version('torch')}" in output
    headings = [line.split("  ")[0] for line in output.splitlines() if not line.startswith(" ")]
    assert headings == ["versions", "extras", "device", "memory", "model cache", "self-test"]
    assert re.search(r"self-test +ok the sample picture in 6 of 6 languages, \d\.\d s, all captions right\n", output)
    assert all(line[13:15] in ("ok", "--") for line in output.splitlines())
    assert str(Path.home()) not in output


def test_what_is_missing_and_what_is_too_old_are_told_apart(no_model: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(name: str) -> str:
        if name == "gradio":
            raise doctor.PackageNotFoundError
        return {"transformers": "5.0.0", "peft": "0.1"}.get(name) or version(name)

    monkeypatch.setattr(doctor, "version", other)
    found = {finding.text: finding.state for finding in doctor.examine()}
    assert any(text.startswith("space: gradio is not installed: pip install") for text in found)
    [peft] = [text for text in found if "peft is 0.1, not >=" in text]
    assert peft.startswith("train: ") and found[peft] == "missing"
    [old] = [text for text in found if text.startswith("transformers is 5.0.0, not ")]
    assert found[old] == "wrong"


def test_a_part_that_fails_leaves_the_rest(no_model: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "self-test    !! RuntimeError: the weights are gone"
    assert any(line.startswith("memory ") for line in lines)


def test_wrong_captions_and_slow_ones_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from modeling_florenz.inference.captioner import Captioner

    monkeypatch.setattr(Captioner, "caption", lambda *given, **named: ["A picture of nothing."])
    last = list(doctor.examine())[-1]
    assert last.state == "wrong" and "de: 'A picture of nothing.'" in last.text
    monkeypatch.setattr(doctor, "SELF_TEST_SECONDS", 0.0)
    last = list(doctor.examine())[-1]
    assert last.state == "wrong" and "in 0 of 6 languages" in last.text


def test_an_installed_package_knows_its_extras_without_a_clone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "_PYPROJECT", tmp_path / "pyproject.toml")
    lines = ["torch>=2.11", 'no-such-package>=1; extra == "bulk"', 'torch>=1; extra == "train"']
    monkeypatch.setattr(doctor, "requires", lambda name: lines)
    extras = [finding.text for finding in doctor.examine() if finding.subject == "extras"]
    assert extras[0].startswith("bulk: no-such-package is not installed") and extras[1] == "complete: train"


@pytest.mark.parametrize("home", ["/", "/home-of-mine"])
def test_the_home_folder_is_hidden_and_a_home_at_the_root_hides_nothing(
    home: str, no_model: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setenv("HOME", home)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", "/home-of-mine/no-such-cache")
    [text] = [finding.text for finding in doctor.examine() if finding.subject == "model cache"]
    assert text.startswith("/home-of-mine/no-such-cache " if home == "/" else "~/no-such-cache ")
