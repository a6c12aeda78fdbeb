"""Check that a saved folder works on its own: for users without this package, with its own copy of the code."""

import ast
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from forked import run_code
from PIL import Image
from tiny_models import tiny_inputs, tiny_model
from tiny_processor import build_tiny_processor
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageTextToText,
    AutoModelForSeq2SeqLM,
    AutoProcessor,
)
from transformers.dynamic_module_utils import get_imports, get_relative_import_files, get_relative_imports

import modeling_florenz
from modeling_florenz import FlorenzConfig, FlorenzForConditionalGeneration, FlorenzProcessor, configuration_florenz


HUB_FILES = ("configuration_florenz.py", "modeling_florenz.py", "processing_florenz.py")
SOURCES = {name: Path(modeling_florenz.__file__).with_name(name) for name in HUB_FILES}
AUTO_MAP = {
    "AutoConfig": "configuration_florenz.FlorenzConfig",
    "AutoModel": "modeling_florenz.FlorenzForConditionalGeneration",
    "AutoModelForImageTextToText": "modeling_florenz.FlorenzForConditionalGeneration",
    "AutoModelForSeq2SeqLM": "modeling_florenz.FlorenzForConditionalGeneration",
    "AutoProcessor": "processing_florenz.FlorenzProcessor",
}
PROMPT = "What does the image describe?"

# Runs first in every fresh process: there, this package does not exist.
WITHOUT_PACKAGE = """
import json, sys
import torch
from PIL import Image

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "modeling_florenz":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
torch.set_num_threads(1)
from transformers import (
    AutoConfig, AutoModel, AutoModelForImageTextToText, AutoModelForSeq2SeqLM, AutoProcessor, pipeline
)

folder, image, prompt, *others = sys.argv[1:]
image = Image.open(image)
settings = {"max_new_tokens": 12, "min_new_tokens": 12, "no_repeat_ngram_size": 2, "do_sample": False}
try:
    import modeling_florenz
except ModuleNotFoundError:
    found = {}
else:
    raise AssertionError("the package is there")

def ids(model, processor):
    inputs = processor(images=image, text=prompt)
    return [model.generate(**inputs, num_beams=beams, **settings).tolist() for beams in (1, 2)]

def origin(thing):
    return [type(thing).__module__.partition(".")[0], type(thing).__module__.rpartition(".")[2], type(thing).__name__]
"""

LOAD_AND_SAVE_AGAIN = """
found["refused"] = []
for auto in (AutoConfig, AutoModel, AutoModelForImageTextToText, AutoModelForSeq2SeqLM, AutoProcessor):
    try:
        auto.from_pretrained(folder, trust_remote_code=False)
    except ValueError as error:
        found["refused"].append("trust_remote_code=True" in str(error))
assert not any(name.startswith("transformers_modules.") for name in sys.modules)
processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
found["origins"] = {"AutoProcessor": origin(processor)}
found["origins"]["AutoConfig"] = origin(AutoConfig.from_pretrained(folder, trust_remote_code=True))
found["ids"] = {}
for auto in (AutoModel, AutoModelForImageTextToText, AutoModelForSeq2SeqLM):
    model = auto.from_pretrained(folder, trust_remote_code=True)
    found["origins"][auto.__name__] = origin(model)
    found["ids"][auto.__name__] = ids(model, processor)
model.save_pretrained(others[0])
processor.save_pretrained(others[0])
"""

LOAD_AND_PIPE = """
model = AutoModelForImageTextToText.from_pretrained(folder, trust_remote_code=True)
processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
found["origins"] = [origin(model), origin(processor)]
found["ids"] = ids(model, processor)
pipe = pipeline("image-text-to-text", model=folder, trust_remote_code=True)
plain = {"generate_kwargs": settings, "return_full_text": False}
chat = [{"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": prompt}]}]
found["one"] = [row["generated_text"] for row in pipe(images=image, text=prompt, **plain)]
mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
rows = pipe(images=[mirrored, image], text=[prompt, prompt], **plain)
found["list"] = [row["generated_text"] for row in rows]
found["chat"] = [row["generated_text"] for row in pipe(chat, **plain)]
"""


def run_without_package(code: str, home: Path, *arguments: object) -> dict:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "HF_HOME": str(home / "hf"), "HF_HUB_OFFLINE": "1"}
    code = WITHOUT_PACKAGE + code + "\nprint(json.dumps(found))"
    done = run_code(code, *map(str, arguments), env=environment, cwd=home)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def folder(home: Path) -> Path:
    tiny_model("gemma2").save_pretrained(home / "folder")
    build_tiny_processor().save_pretrained(home / "folder")
    return home / "folder"


@pytest.fixture(scope="module")
def image(home: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(home / "image.png")
    return home / "image.png"


@pytest.fixture(scope="module")
def expected_ids(image: Path) -> list:
    inputs = build_tiny_processor()(images=Image.open(image), text=PROMPT)
    settings = {"max_new_tokens": 12, "min_new_tokens": 12, "no_repeat_ngram_size": 2, "do_sample": False}
    return [tiny_model("gemma2").generate(**inputs, num_beams=beams, **settings).tolist() for beams in (1, 2)]


@pytest.fixture(scope="module")
def first(folder: Path, image: Path, home: Path) -> dict:
    return run_without_package(LOAD_AND_SAVE_AGAIN, home, folder, image, PROMPT, home / "again")


@pytest.fixture(scope="module")
def second(first: dict, image: Path, home: Path) -> dict:
    return run_without_package(LOAD_AND_PIPE, home, home / "again", image, PROMPT)


def assert_complete(folder: Path) -> None:
    for name, source in SOURCES.items():
        assert (folder / name).read_bytes() == source.read_bytes()
    assert {path.name for path in folder.glob("*.py")} == set(HUB_FILES)
    assert json.loads((folder / "config.json").read_text())["auto_map"] == AUTO_MAP
    for path in folder.rglob("*.json"):
        for names in re.findall(r'"auto_map": (\{[^}]*\})', path.read_text()):
            assert json.loads(names).items() <= AUTO_MAP.items(), path


def test_a_saved_folder_holds_the_code_and_the_names_of_all_classes(folder) -> None:
    assert_complete(folder)


def test_a_folder_works_without_this_package(first, expected_ids) -> None:
    assert {auto: found[2] for auto, found in first["origins"].items()} == {
        auto: name.rpartition(".")[2] for auto, name in AUTO_MAP.items()
    }
    assert {found[0] for found in first["origins"].values()} == {"transformers_modules"}
    models = ("AutoModel", "AutoModelForImageTextToText", "AutoModelForSeq2SeqLM")
    assert first["ids"] == dict.fromkeys(models, expected_ids)
    assert min(len(set(row)) for rows in expected_ids for row in rows) > 3


def test_code_of_a_folder_runs_only_with_the_consent_of_its_user(first) -> None:
    assert first["refused"] == [True] * 5


def test_a_folder_saved_by_its_own_code_is_complete_and_loads_again(first, second, home, expected_ids) -> None:
    assert_complete(home / "again")
    assert second["ids"] == expected_ids
    assert second["origins"] == [
        ["transformers_modules", "modeling_florenz", "FlorenzForConditionalGeneration"],
        ["transformers_modules", "processing_florenz", "FlorenzProcessor"],
    ]


def test_a_pipeline_takes_one_image_a_list_and_a_chat(second, expected_ids) -> None:
    text = build_tiny_processor().decode_generated(expected_ids[0])[0]
    assert text
    assert second["one"] == second["chat"] == [text]
    other, same = second["list"]
    assert same == text != other != ""


@pytest.mark.parametrize("trust", [{}, {"trust_remote_code": False}, {"trust_remote_code": True}], ids=str)
def test_with_this_package_its_own_classes_are_used(folder, trust) -> None:
    assert type(AutoConfig.from_pretrained(folder, **trust)) is FlorenzConfig
    assert type(AutoProcessor.from_pretrained(folder, **trust)) is FlorenzProcessor
    for auto in (AutoModel, AutoModelForImageTextToText, AutoModelForSeq2SeqLM):
        assert type(auto.from_pretrained(folder, **trust)) is FlorenzForConditionalGeneration


def test_names_of_classes_that_point_to_a_repository_are_not_passed_on(folder, tmp_path) -> None:
    loaded = json.loads((folder / "config.json").read_text())
    loaded["auto_map"] = {auto: f"someone/else--{name}" for auto, name in AUTO_MAP.items()}
    config = FlorenzConfig.from_dict(loaded)
    config.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["auto_map"] == AUTO_MAP == configuration_florenz.AUTO_MAP


@pytest.mark.parametrize("kind", ["bart", "gemma2"])
def test_saved_weights_give_the_same_logits_in_both_decoder_kinds(kind, tmp_path) -> None:
    model, inputs = tiny_model(kind), tiny_inputs() | {"decoder_input_ids": torch.tensor([[1, 2, 50]] * 3)}
    model.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits, loaded(**inputs).logits)


def imports(source: Path) -> list[tuple[int, str, list[str]]]:
    found = []
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(0, alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.level, node.module or "", [alias.name for alias in node.names]))
    return found


@pytest.mark.parametrize("name", HUB_FILES)
def test_a_hub_file_imports_only_what_every_user_has(name) -> None:
    source = SOURCES[name]
    allowed = {"torch", "transformers", "huggingface_hub"} | sys.stdlib_module_names
    assert set(get_imports(source)) <= allowed
    # The function of transformers leaves out imports under `try`; this list leaves out none.
    absolute = {module.partition(".")[0] for level, module, _ in imports(source) if level == 0}
    assert absolute <= allowed
    assert not absolute & {
        *("asyncio", "ctypes", "ftplib", "http", "importlib", "marshal", "multiprocessing", "os", "pickle"),
        *("runpy", "shelve", "shutil", "socket", "ssl", "subprocess", "tempfile", "urllib", "webbrowser", "xmlrpc"),
    }


@pytest.mark.parametrize("name", HUB_FILES)
def test_a_hub_file_reaches_its_neighbours_in_the_one_form_that_is_copied(name) -> None:
    source = SOURCES[name]
    relative = [(level, module, names) for level, module, names in imports(source) if level]
    for level, module, _ in relative:
        assert level == 1
        assert f"{module}.py" in HUB_FILES
    # What transformers reads by a regular expression, docstrings and comments included, is exactly what is imported.
    assert sorted(get_relative_imports(source)) == sorted({module for _, module, _ in relative})
    assert {Path(path).name for path in get_relative_import_files(source)} <= set(HUB_FILES)
    assert "from . import" not in source.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", HUB_FILES)
def test_a_hub_file_builds_and_runs_no_code(name) -> None:
    calls = [node.func for node in ast.walk(ast.parse(SOURCES[name].read_text())) if isinstance(node, ast.Call)]
    assert not {call.id for call in calls if isinstance(call, ast.Name)} & {"eval", "exec", "compile", "__import__"}
    assert not {ast.unparse(call) for call in calls} & {"torch.load", "torch.hub.load"}


def test_a_bad_import_would_be_seen(tmp_path) -> None:
    text = '"""\nfrom .ghost import x\n"""\ntry:\n    import subprocess\nexcept ImportError:\n    from . import y\n'
    (tmp_path / "bad.py").write_text(text)
    assert get_relative_imports(tmp_path / "bad.py") == ["ghost"]
    assert get_imports(tmp_path / "bad.py") == []
    assert imports(tmp_path / "bad.py") == [(0, "subprocess", []), (1, "", ["y"])]


def test_nothing_compares_the_class_of_a_configuration() -> None:
    # In a local folder each file becomes a module of its own, and the configuration class exists once for each.
    for source in SOURCES.values():
        assert not re.search(r"isinstance\([^)]*FlorenzConfig", source.read_text())


@pytest.mark.parametrize("name", ["configuration_florenz.py", "processing_florenz.py"])  # what is loaded first
@pytest.mark.parametrize("version", ["4.57.1", "5.23.0"])
def test_an_older_transformers_is_refused_with_the_version_needed(name, version) -> None:
    code = "import sys, runpy, transformers; transformers.__version__ = sys.argv[2]; runpy.run_path(sys.argv[1])"
    done = run_code(code, str(SOURCES[name]), version)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: Florenz needs transformers 5.24 or newer, but {version} is installed: "
        'pip install --upgrade "transformers>=5.24,<6"'
    )
