"""Fetch the test suites of transformers at the installed version, and import them.

Its source distribution has the suites for models and processors. The one for generation is not in it and is read from
the repository at the same tag.
"""

import os
import subprocess
import sys
import tarfile
import urllib.request
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL


VERSION = version("transformers")
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "modeling_florenz" / "peers"
FOLDER = CACHE / f"transformers-{VERSION}" / "tests"
GENERATION = f"https://raw.githubusercontent.com/huggingface/transformers/v{VERSION}/tests/generation/test_utils.py"
PACKAGE = "transformers_tests"


def suite(name: str) -> ModuleType:
    """Import one file of the suites by its dotted name; skip the tests that ask for it where it cannot be had."""
    pytest.importorskip("parameterized", reason='the suites of transformers need it: pip install ".[peers]"')
    if PACKAGE not in sys.modules:
        _fetch()
        _add_package()
    return import_module(f"{PACKAGE}.{name}")


def has_generation() -> bool:
    """Return whether the suite for generation could be had."""
    return (FOLDER / "generation" / "test_utils.py").is_file()


def _fetch() -> None:
    if not (FOLDER / "test_modeling_common.py").is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        options = ["--quiet", "--no-deps", "--no-binary", "transformers", "--dest", str(CACHE)]
        pip = [sys.executable, "-m", "pip", "download", *options, f"transformers=={VERSION}"]
        done = subprocess.run(pip, capture_output=True, text=True)
        archive = CACHE / f"transformers-{VERSION}.tar.gz"
        if done.returncode or not archive.is_file():
            reason = (done.stderr.strip().splitlines() or ["no archive"])[-1]
            pytest.skip(f"pip cannot fetch the source of transformers {VERSION}: {reason}", allow_module_level=True)
        with tarfile.open(archive) as members:
            members.extractall(CACHE, filter="data")
    if not has_generation():
        try:
            with urllib.request.urlopen(GENERATION, timeout=30) as response:
                text = response.read()
        except OSError:
            return
        (FOLDER / "generation").mkdir(exist_ok=True)
        (FOLDER / "generation" / "test_utils.py").write_bytes(text)


def _add_package() -> None:
    package = ModuleType(PACKAGE)
    package.__path__ = [str(FOLDER)]
    sys.modules[PACKAGE] = package
    # Neither is in the archive: Florenz does not promise exporters, and its sample stands in for files of the Hub.
    exporters = ModuleType("exporters")
    exporters.ExportTesterMixin = exporters.ExportGenerateTesterMixin = object
    files = ModuleType("files")
    files.url_to_local_path = lambda address: str(BUNDLED_MODEL / "sample.png")
    for name in (f"{PACKAGE}.exporters.test_export", "tests.exporters.test_export"):
        sys.modules[name] = exporters
    sys.modules["fetch_hub_objects_for_ci"] = files
    if not has_generation():
        generation = ModuleType("generation")
        generation.GenerationTesterMixin = type("GenerationTesterMixin", (), {})
        sys.modules[f"{PACKAGE}.generation.test_utils"] = generation
