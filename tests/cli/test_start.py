"""How fast the command line starts, what its help pages promise, and what it says when an extra is missing."""

import dataclasses
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from modeling_florenz import BUNDLED_MODEL, __version__
from modeling_florenz.checkpoint.quantization import PRESETS
from modeling_florenz.cli import build, build_parser, caption, main
from modeling_florenz.cli.arguments import QUANTIZATIONS
from modeling_florenz.extras import install_command
from modeling_florenz.processing_florenz import TASKS
from modeling_florenz.sizes import SIZES


ROOT = Path(__file__).parents[2]
SAMPLE = BUNDLED_MODEL / "sample.png"
COMMANDS = (
    "caption",
    "translate",
    "score",
    "train",
    "evaluate",
    "compare",
    "build",
    "convert",
    "inspect",
    "push",
    "pull",
    "card",
    "dataset",
    "space",
    "synthesize",
    "show",
    "doctor",
    "completion",
)


def run_python(code: str) -> str:
    """Run code in a process of its own, in the root of the repository; return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_help_page_is_printed_without_importing_a_library_that_computes() -> None:
    code = (
        "import sys\n"
        "from modeling_florenz.cli import main\n"
        f"for argv in [['--help'], ['--version'], *([name, '--help'] for name in {COMMANDS})]:\n"
        "    try:\n"
        "        main(argv)\n"
        "    except SystemExit as exit_:\n"
        "        assert not exit_.code, argv\n"
        "slow = {'torch', 'transformers', 'numpy', 'PIL', 'huggingface_hub', 'datasets', 'gradio'}\n"
        "print('imported:', sorted(slow & set(sys.modules)))\n"
    )
    output = run_python(code)
    assert output.endswith("imported: []\n")
    assert f"florenz {__version__}\n" in output
    assert all(f"usage: florenz {name}" in output for name in COMMANDS)


def test_choices_that_help_pages_list_are_those_of_the_library() -> None:
    assert tuple(task for task in TASKS if task != "translate") == caption.TASKS
    assert tuple(SIZES) == build.SIZES
    assert PRESETS == QUANTIZATIONS


def test_help_of_train_lists_the_fields_and_defaults_that_the_dataclasses_have() -> None:
    from modeling_florenz.training.fields import recipe_fields
    from modeling_florenz.training.recipe import RecipeArguments
    from modeling_florenz.training.trainer_arguments import FlorenzTrainingArguments

    written = recipe_fields()
    for kind in (RecipeArguments, FlorenzTrainingArguments):
        real = {
            entry.name: repr(entry.default)
            if entry.default_factory is dataclasses.MISSING
            else repr(entry.default_factory())
            for entry in dataclasses.fields(kind)
            if entry.init
        }
        listed = written[kind.__name__]
        assert list(listed) == list(real)
        # Whether there is a GPU is not known before torch is imported.
        assert {**listed, "use_cpu": None} == {**real, "use_cpu": None}


def test_a_missing_extra_is_one_sentence_with_the_command_that_installs_it(tmp_path: Path) -> None:
    (tmp_path / "commute").mkdir()
    asked = {
        "train": ["train", "emoji_lora"],
        "eval": ["evaluate", "florenz-tiny", "--benchmark", "commute", "--data", str(tmp_path)],
        "space": ["space"],
    }
    cases = [
        *asked.items(),
        ("train", ["card", "--check"]),
        ("train", ["dataset", "never_written"]),
        ("train", ["caption", str(SAMPLE), "--adapter", "adapter"]),
    ]
    code = (
        "import sys\n"
        "for name in 'accelerate datasets peft evaluate py3langid sacrebleu bitsandbytes torchao gradio'.split():\n"
        "    sys.modules[name] = None\n"
        "sys.stderr = sys.stdout\n"
        "from modeling_florenz.cli import main\n"
        f"for extra, argv in {cases}:\n"
        "    print(extra, main(argv), flush=True)\n"
    )
    lines = run_python(code).splitlines()
    assert len(lines) == 2 * len(cases)
    for (extra, argv), sentence, outcome in zip(cases, lines[::2], lines[1::2], strict=True):
        assert sentence.startswith("florenz: "), argv
        assert sentence.endswith(f', which is not installed: pip install ".[{extra}]"'), argv
        assert outcome == f"{extra} 2", argv


def test_the_advice_names_the_clone_from_elsewhere_and_the_package_where_there_is_no_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert install_command("eval") == 'pip install ".[eval]"'
    monkeypatch.chdir(tmp_path)
    assert install_command("eval") == f'pip install "{ROOT}[eval]"'
    (tmp_path / "site").mkdir()
    code = (ROOT / "modeling_florenz" / "extras.py").read_text(encoding="utf-8")
    (tmp_path / "site" / "extras.py").write_text(code, encoding="utf-8")
    # Without site-packages, where an installed package says what it came from.
    command = [sys.executable, "-S", "-c", "import extras; print(extras.install_command('eval'))"]
    done = subprocess.run(command, cwd=tmp_path / "site", capture_output=True, text=True, check=True)
    assert done.stdout == 'pip install "modeling-florenz[eval]"\n'


def test_florenz_alone_shows_what_most_people_want(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = [line.split()[:2] for line in lines if line.startswith("  florenz")]
    assert shown == [["florenz", "caption"], ["florenz", "show"], ["florenz", "space"]]
    assert all(len(line) <= 80 for line in lines)


def test_caption_explains_itself_in_ten_lines_with_three_examples_that_parse(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["caption", "-h"])
    lines = capsys.readouterr().out.splitlines()
    assert left.value.code == 0
    assert len(lines) == 10 and all(len(line) <= 80 for line in lines)
    examples = [line.rpartition("|")[2].strip() for line in lines if line.startswith("  ")]
    assert len(examples) == 3
    for example in examples:
        assert build_parser().parse_args(shlex.split(example)[1:]).command == "caption"
    with pytest.raises(SystemExit):
        main(["caption", "--help"])
    # Every option is below the same lines.
    assert capsys.readouterr().out.splitlines()[:8] == lines[:8]


def test_every_command_takes_verbose() -> None:
    parser = build_parser()
    assert parser.parse_args(["caption", "a.png", "--verbose"]).verbose
    assert parser.parse_args(["compare", "a", "b", "--verbose"]).verbose
