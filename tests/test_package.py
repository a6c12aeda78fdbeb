"""`import modeling_florenz`: cheap, and the Auto classes know Florenz whichever is imported first."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from forked import run_code

import modeling_florenz


ROOT = Path(__file__).parents[1]
FOLDER = str(modeling_florenz.BUNDLED_MODEL)
CONFIG = f"print(type(AutoConfig.from_pretrained({FOLDER!r})).__module__)"
PROCESSOR = f"print(type(AutoProcessor.from_pretrained({FOLDER!r})).__module__)"
MODELS = (
    "from transformers import AutoModel, AutoModelForImageTextToText, AutoModelForSeq2SeqLM\n"
    f"config = AutoConfig.from_pretrained({FOLDER!r})\n"
    "for kind in (AutoModel, AutoModelForImageTextToText, AutoModelForSeq2SeqLM):\n"
    "    print(type(kind.from_config(config)).__module__)\n"
)
ALL = f"{CONFIG}\n{PROCESSOR}\n{MODELS}"
ALL_MODULES = ["configuration_florenz", "processing_florenz", *["modeling_florenz"] * 3]
BOTH = "from transformers import AutoConfig, AutoProcessor"


def printed(code: str) -> list[str]:
    """Run code in a fresh process; return the lines that it prints."""
    done = run_code(code)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("code", "modules"),
    [
        (f"import modeling_florenz\n{BOTH}\n{ALL}", ALL_MODULES),
        (f"{BOTH}\nimport modeling_florenz\n{ALL}", ALL_MODULES),
        (f"import modeling_florenz\nfrom transformers import AutoConfig\n{CONFIG}", ["configuration_florenz"]),
        (f"import modeling_florenz\nfrom transformers import AutoProcessor\n{PROCESSOR}", ["processing_florenz"]),
        (f"from modeling_florenz.processing_florenz import FlorenzProcessor\n{BOTH}\n{ALL}", ALL_MODULES),
        (
            f"import modeling_florenz\nimport transformers.models.florence2.modeling_florence2\n{BOTH}\n{ALL}",
            ALL_MODULES,
        ),
    ],
    ids=[
        "the package first",
        "transformers first",
        "only a configuration",
        "only a processor",
        "a file of the package first",
        "the library's own model first",
    ],
)
def test_the_auto_classes_know_florenz_whatever_is_imported_first(code: str, modules: list[str]) -> None:
    assert printed(code) == [f"modeling_florenz.{name}" for name in modules]


def test_importing_the_package_imports_no_library_that_computes() -> None:
    code = "import sys, modeling_florenz\nprint(*{'torch', 'transformers', 'numpy', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout.split()) == (0, [])


def test_the_package_has_the_names_that_it_lists_and_no_others() -> None:
    assert all(hasattr(modeling_florenz, name) for name in modeling_florenz.__all__)
    assert set(modeling_florenz.__all__) <= set(dir(modeling_florenz))
    with pytest.raises(ImportError, match="Captoner"):
        from modeling_florenz import Captoner  # noqa: F401


def test_readme_metadata_and_lanes_name_the_same_versions_of_python() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [text.rpartition(" ")[2] for text in project["classifiers"] if re.search(r":: 3\.\d+$", text)]
    lanes = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text())["jobs"]
    assert lanes["python"]["strategy"]["matrix"]["python"] == named
    assert project["requires-python"] == f">={named[0]}"
    assert f"With Python {named[0]} or newer" in (ROOT / "README.md").read_text()
