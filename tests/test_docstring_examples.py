"""The examples in docstrings run and print what they say."""

import doctest
import importlib
import pkgutil
import re
from types import ModuleType

import pytest

import modeling_florenz
from modeling_florenz import BUNDLED_MODEL, FlorenzProcessor


# They import what is installed nowhere in the tests, or run something when they are imported.
_NOT_IMPORTED = ("modeling_florenz.evaluation.lmms_eval", "modeling_florenz.hub_cards", "modeling_florenz.space_app")
MODULES = [
    module.name
    for module in pkgutil.walk_packages(modeling_florenz.__path__, "modeling_florenz.")
    if not module.name.startswith(_NOT_IMPORTED) and not module.name.endswith("__main__")
]


class _Parser(doctest.DocTestParser):
    """Read examples between the fences of Markdown."""

    def parse(self, string: str, name: str = "<string>") -> list[str | doctest.Example]:
        return super().parse(re.sub(r"^[ \t]*```.*$", "", string, flags=re.MULTILINE), name)


def _examples(module: ModuleType) -> list[doctest.DocTest]:
    names = {**vars(module), "processor": FlorenzProcessor.from_pretrained(BUNDLED_MODEL)}
    found = doctest.DocTestFinder(parser=_Parser()).find(module, globs=names)
    return [test for test in found if any(doctest.SKIP not in example.options for example in test.examples)]


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    for test in _examples(importlib.import_module(name)):
        doctest.DocTestRunner().run(test, out=said.append)
    assert not said, "".join(said)


def test_a_wrong_example_is_found():
    module = ModuleType("wrong")
    module.__doc__ = "Count.\n\n```python\n>>> 1 + 1\n3\n```\n"
    [test] = _examples(module)
    assert doctest.DocTestRunner().run(test, out=lambda text: None).failed == 1
