"""Completion in a real bash: commands, options, values, files and folders."""

import shutil
import subprocess
from pathlib import Path

import pytest

from modeling_florenz.cli import main


pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
$(complete -p florenz | sed 's/.*-F \\([^ ]*\\).*/\\1/') florenz "${COMP_WORDS[COMP_CWORD]}" ""
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["completion", "bash"]) == 0
    path = tmp_path / "florenz.bash"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["florenz", "cap"], {"caption"}),
        (["florenz", "caption", "--side"], {"--sidecar"}),
        (["florenz", "caption", "--dtype", "b"], {"bfloat16"}),
        (["florenz", "caption", "ph"], {"photo.jpg", "photos"}),
        (["florenz", "caption", "--model", "ph"], {"photos"}),
        (["florenz", "scaling", "f"], {"fit"}),
    ],
)
def test_bash_offers_what_fits(words: list[str], offered: set[str], script: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photo.jpg").touch()
    asked = ["bash", "--norc", "-c", ASK, "ask", str(script), *words]
    done = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert set(done.stdout.split()) == offered, done.stderr


def test_other_shells_get_scripts_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "zsh"]) == 0
    assert capsys.readouterr().out.startswith("#compdef florenz")
    assert main(["completion", "fish"]) == 0
    assert "complete -c florenz" in capsys.readouterr().out
