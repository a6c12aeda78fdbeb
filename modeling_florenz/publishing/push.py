"""Check a folder and push it to the Hub in one commit: models, adapters, datasets."""

import ast
import importlib
import re
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, ModelCard
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError, safe_open

from .. import __version__
from ..card_template import UNFILLED
from ..checkpoint.model_folder import CODE_FILES, PACKAGE
from ..checkpoint.sources import read_json, weight_files


_PICKLED = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy", ".joblib")
_WEIGHTS = (".safetensors", ".safetensors.index.json", ".parquet")
_STRAY = re.compile(r"\.(partial|lock|incomplete|pyc|tmp|swp)$|(^|/)(\.git|__pycache__|\.cache|checkpoint-\d+)(/|$)")
_SECRET = re.compile(
    r"\bhf_[A-Za-z0-9]{30,}|\bAKIA[0-9A-Z]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----|\bgh[pousr]_[A-Za-z0-9]{30,}"
)
_LOCAL = re.compile(r"(?<![\w./:])/(?:home|root|work|Users|tmp|mnt|data|scratch)/[\w.-]+")
_PICTURE = re.compile(r"!\[[^]]*\]\((?:https://huggingface\.co/\S+?/resolve/main/)?([^):]+)\)")
_GEMMA = "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms"
_TEXT = (".json", ".md", ".py", ".yaml", ".yml", ".txt", ".jinja", ".csv", ".jsonl")


def kind_of(folder: Path) -> str:
    """Return what a folder holds: `model`, `adapter` or `dataset`.

    Raises:
        ValueError: it is none of them.
    """
    if (folder / "adapter_config.json").is_file():
        return "adapter"
    if (folder / "config.json").is_file():
        return "model"
    if any(folder.rglob("*.parquet")):
        return "dataset"
    raise ValueError(f"{folder} holds no model, no adapter and no parquet files: give one of these folders")


def files_of(folder: Path) -> list[Path]:
    """List the files that would be pushed."""
    return sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink())


def check_folder(folder: Path) -> list[str]:
    """List what must not be published as it is, one sentence each; an empty list is good.

    Raises:
        ValueError: the folder holds nothing that can be pushed.
    """
    kind = kind_of(folder)
    findings = [finding for path in files_of(folder) for finding in _check_file(folder, path)]
    findings += _check_card(folder, kind)
    if kind != "dataset":
        findings += _check_licences(folder)
    if kind == "model":
        findings += _check_model(folder)
    elif kind == "adapter":
        findings += _check_adapter(folder)
    return findings


def push(folder: Path, repo_id: str, private: bool = False, revision: str | None = None) -> str:
    """Push a checked folder in one commit and tag the package's version; give the commit.

    What an earlier, broken push has already brought over is not sent again. Weights and tables that are in the
    repository but not in the folder are deleted in the same commit: `from_pretrained` would read an old file beside
    new shards.

    Raises:
        ValueError: the folder has findings, or the Hub cannot be reached or refuses.
    """
    if findings := check_folder(folder):
        raise ValueError(
            f"{folder} is not ready: {findings[0]}" + (f" ({len(findings)} findings)" if findings[1:] else "")
        )
    local = {path.relative_to(folder).as_posix(): path for path in files_of(folder)}
    kind = "dataset" if kind_of(folder) == "dataset" else "model"
    api, commit = HfApi(), ""
    last: Exception | None = None
    for _ in range(5):
        try:
            api.create_repo(repo_id, private=private, repo_type=kind, exist_ok=True)
            if revision is not None:
                api.create_branch(repo_id, branch=revision, repo_type=kind, exist_ok=True)
            there = set(api.list_repo_files(repo_id, revision=revision, repo_type=kind))
            stale = [CommitOperationDelete(name) for name in sorted(there - local.keys()) if name.endswith(_WEIGHTS)]
            added = [CommitOperationAdd(name, path) for name, path in local.items()]
            message = f"Push {folder.name} with modeling_florenz {__version__}"
            # Not upload_folder, which makes several commits of a large folder.
            done = api.create_commit(
                repo_id, [*stale, *added], commit_message=message, repo_type=kind, revision=revision
            )
            commit = str(done.oid)
            api.create_tag(repo_id, tag=f"v{__version__}", revision=commit, repo_type=kind, exist_ok=True)
            return commit
        except HfHubHTTPError as error:
            status = getattr(error.response, "status_code", 0)
            if 400 <= status < 500 and status not in (408, 429):
                raise ValueError(f"the Hub refused {repo_id}: {str(error).splitlines()[0]}") from None
            last = error
        except Exception as error:  # a dropped connection comes as many kinds, by what the client is built on
            last = error
    state = f"is there as {commit} but could not be tagged" if commit else "could not be pushed, nothing is visible"
    raise ValueError(f"{repo_id} {state}: {str(last).splitlines()[0]}") from last


def _check_file(folder: Path, path: Path) -> list[str]:
    name = path.relative_to(folder).as_posix()
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        return [f"{name} is a link out of the folder: put the file itself there"]
    if path.suffix in _PICKLED:
        return [f"{name} may be pickled, which can run code: keep safetensors only"]
    if _STRAY.search(name):
        return [f"{name} does not belong into a published folder: remove it"]
    with path.open("rb") as file:
        if file.read(2) in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
            return [f"{name} is pickled whatever its name says: keep safetensors only"]
    if path.suffix not in _TEXT or path.stat().st_size > 64 << 20:
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    findings = []
    if match := _SECRET.search(text):
        findings.append(f"{name} holds what looks like a secret ({match[0][:6]}...): remove it and make a new one")
    if path.name != "tokenizer.json" and (match := _LOCAL.search(text)):
        findings.append(f"{name} names a place on this machine ({match[0]}): remove it")
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


def listing(folder: Path) -> list[tuple[str, int]]:
    """List name and size in bytes of every file that would go."""
    return [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in files_of(folder)]


def describe(folder: Path, repo_id: str, commit: str) -> str:
    """Return the lines that load what was pushed, pinned to its commit."""
    if kind_of(folder) == "dataset":
        return f'load_dataset("{repo_id}", revision="{commit}")'
    if kind_of(folder) == "adapter":
        return f'Captioner(adapter="{repo_id}")  # pushed as {commit}'
    return f'AutoModel.from_pretrained("{repo_id}", revision="{commit}", trust_remote_code=True)'
