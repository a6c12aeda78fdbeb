"""Check a folder before it is published: models, adapters, datasets."""

import ast
import importlib
import re
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard
from safetensors import SafetensorError, safe_open

from ..card_template import UNFILLED
from ..checkpoint.model_folder import CODE_FILES, PACKAGE
from ..checkpoint.sources import read_json, weight_files
from ..data.files import files_below
from .leaks import DATA, check_file


_PICTURE = re.compile(r"!\[[^]]*\]\((?:https://huggingface\.co/\S+?/resolve/main/)?([^):]+)\)")
_GEMMA = "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms"


def kind_of(folder: Path) -> str:
    """Return what a folder holds: `model`, `adapter` or `dataset`.

    Raises:
        ValueError: it is none of them, or two.
    """
    found = [
        kind
        for kind, name in (("adapter", "adapter_config.json"), ("model", "config.json"))
        if (folder / name).is_file()
    ]
    if len(found) > 1:
        raise ValueError(f"{folder} holds a model and an adapter: keep one of them")
    if found:
        return found[0]
    if any(path.name.endswith((*DATA, ".jsonl")) for path in files_below(folder)):
        return "dataset"
    raise ValueError(f"{folder} holds no model, no adapter and no parquet files, archives or rows: give one of these")


def files_of(folder: Path) -> list[Path]:
    """List the files that would be pushed."""
    return [path for path in files_below(folder) if path.is_file() or path.is_symlink()]


def check_folder(folder: Path) -> list[str]:
    """List what must not be published as it is, one sentence each; an empty list is good.

    Raises:
        ValueError: the folder holds nothing that can be pushed.
    """
    kind = kind_of(folder)
    findings = [finding for path in files_of(folder) for finding in check_file(folder, path)]
    findings += _check_card(folder, kind)
    if kind != "dataset":
        findings += _check_licences(folder)
    if kind == "model":
        findings += _check_model(folder)
    elif kind == "adapter":
        findings += _check_adapter(folder)
    return findings


def _check_card(folder: Path, kind: str) -> list[str]:
    path = folder / "README.md"
    if not path.is_file():
        return ["there is no README.md: write a card"]
    try:
        card = ModelCard(path.read_text(encoding="utf-8"))
    except Exception as error:  # what YAML and the card's own checks raise
        return [f"the metadata of README.md cannot be read: {str(error).splitlines()[0]}"]
    findings = []
    license = card.data.get("license")
    if not license:
        findings.append("README.md names no licence: add license to its metadata")
    if match := UNFILLED.search(card.text):
        findings.append(f"README.md has the unfilled field {match[0]}: fill it")
    findings += [
        f"README.md shows the picture {name}, which is not in the folder: add it (florenz card does)"
        for name in _PICTURE.findall(card.text)
        if not (folder / name).is_file()
    ]
    for block in re.findall(r"```python\n(.*?)```", card.text, re.DOTALL):
        try:
            tree = ast.parse(re.sub(r"^>>> |^\.\.\. ", "", block, flags=re.MULTILINE))
        except SyntaxError as error:
            findings.append(f"a python block of README.md does not parse (line {error.lineno}): fix it")
        else:
            findings += _check_imports(tree)
    config = folder / "config.json"
    if kind == "model" and config.is_file():
        decoder = read_json(config).get("text_config", {})
        published = decoder.get("hidden_size", 0) >= 2304  # no smaller decoder derives from Gemma's weights
        if published and decoder.get("model_type") == "gemma2" and license != "gemma":
            findings.append(f"README.md says license {license}, but the weights derive from Gemma: say gemma")
    return findings


def _check_imports(tree: ast.Module) -> list[str]:
    """Find what a quick start imports from this package that it does not have."""
    findings = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE.name:
            try:
                module = importlib.import_module(str(node.module))
                lost = [alias.name for alias in node.names if not hasattr(module, alias.name)]
            except ModuleNotFoundError:
                lost = [str(node.module)]
            findings += [f"README.md imports {name}, which this package does not have: fix it" for name in lost]
    return findings


def _check_licences(folder: Path) -> list[str]:
    findings = [
        f"the licence file {name} is missing: florenz card and florenz convert write it"
        for name in ("LICENSE", "NOTICE")
        if not (folder / name).is_file()
    ]
    card, notice = folder / "README.md", folder / "NOTICE"
    says_gemma = card.is_file() and re.search(r"^license: gemma$", card.read_text(encoding="utf-8"), re.MULTILINE)
    if says_gemma and notice.is_file() and _GEMMA not in " ".join(notice.read_text(encoding="utf-8").split()):
        findings.append(f'NOTICE must say "{_GEMMA}", as its terms ask: florenz convert writes it')
    return findings


def _check_model(folder: Path) -> list[str]:
    findings = []
    try:
        for path in weight_files(folder):
            with safe_open(path, framework="pt") as file:
                file.keys()
    except (ValueError, SafetensorError, OSError) as error:
        findings.append(f"the weights are not complete: {error}")
    config = read_json(folder / "config.json")
    for name in CODE_FILES:
        path = folder / name
        if not path.is_file():
            findings.append(f"the code file {name} is missing: save the model with save_pretrained")
        elif path.read_bytes() != (PACKAGE / name).read_bytes():
            findings.append(f"the code file {name} is not this package's: save the model again")
    auto_map: dict[str, Any] = config.get("auto_map") or {}
    findings += [
        f"config.json has no auto_map entry {wanted}: save the model with save_pretrained"
        for wanted in ("AutoConfig", "AutoModel")
        if wanted not in auto_map
    ]
    for entry, target in auto_map.items():
        module, _, name = str(target).rpartition(".")
        path = folder / f"{module}.py"
        if path.is_file():
            classes = [node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]
            if name not in classes:
                findings.append(f"the auto_map entry {entry} names {target}, which does not exist: fix it")
        elif path.name not in CODE_FILES:
            findings.append(f"the auto_map entry {entry} names {module}.py, which is missing: fix it")
    return findings + _check_processor(folder)


def _check_processor(folder: Path) -> list[str]:
    names = ("processor_config.json", "tokenizer.json", "encoder_tokenizer/tokenizer.json")
    return [
        f"{name} is missing: save the processor into the folder" for name in names if not (folder / name).is_file()
    ]


def _check_adapter(folder: Path) -> list[str]:
    settings = read_json(folder / "adapter_config.json")
    base = str(settings.get("base_model_name_or_path") or "")
    findings = []
    if not (folder / "adapter_model.safetensors").is_file():
        findings.append("adapter_model.safetensors is missing: save the adapter again")
    if not base or base.startswith((".", "/", "~")):
        findings.append(
            f"adapter_config.json names the base {base!r}, which nobody else has: set base_id in the recipe"
        )
    return findings + _check_processor(folder)
