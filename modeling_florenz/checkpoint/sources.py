"""Find the files of a checkpoint: a folder here, or a repository on the Hub. Pickled weights are never opened."""

import json
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from .licences import PAPERS


# Of a run that was pushed whole, only what it ended with.
_NESTED_WEIGHTS = ["*/*.safetensors"]


def resolve_source(source: str | Path, revision: str | None = None, weights: bool = True) -> Path:
    """Return the local folder of a checkpoint, downloading it first if it is a repository.

    Args:
        source: a folder, or a repository as `owner/name`.
        revision: branch, tag or commit of the repository.
        weights: also fetch the weights, not only configuration and tokenizers.

    Raises:
        ValueError: there is no such folder or repository, it is gated, or it cannot be reached.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists() or str(source).startswith((".", "/", "~")) or str(source).count("/") != 1:
        raise ValueError(f"{source} is neither a folder here nor a repository such as owner/name")
    patterns = ["*.json", "*.jinja", "*.txt", "*.model", "README.md", *PAPERS] + (["*.safetensors"] if weights else [])
    name = str(source)
    try:
        return Path(
            snapshot_download(name, revision=revision, allow_patterns=patterns, ignore_patterns=_NESTED_WEIGHTS)
        )
    except GatedRepoError:
        raise ValueError(
            f"{name} is gated: accept its terms at https://huggingface.co/{name}, then run hf auth login"
        ) from None
    except RevisionNotFoundError:
        raise ValueError(f"{name} has no revision {revision!r}: give a branch, tag or commit of it") from None
    except RepositoryNotFoundError:
        raise ValueError(
            f"{name} is not a repository on the Hub, or a private one: check the name, or hf auth login"
        ) from None
    except HFValidationError as error:
        raise ValueError(f"{name!r} is not the name of a repository: {str(error).splitlines()[0]}") from None
    except (LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{name} is not a folder here and could not be fetched from the Hub: {reason}") from None


def read_json(path: Path) -> Any:
    """Read a JSON file; say in one sentence why it could not be read."""
    _check_inside(path.parent, path)
    if path.exists() and not path.is_file():  # a pipe would wait for someone to write into it
        raise ValueError(f"{path} could not be read: it is not a file")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist: give the folder of a checkpoint") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} could not be read: {error}") from None


def weight_files(folder: Path) -> list[Path]:
    """List the safetensors files of a checkpoint, one or sharded.

    Raises:
        ValueError: there is none, a shard is missing, or the weights are pickled.
    """
    index = folder / "model.safetensors.index.json"
    if index.exists():
        content = read_json(index)
        weight_map = content.get("weight_map") if isinstance(content, dict) else None
        names = list(weight_map.values()) if isinstance(weight_map, dict) else []
        if not names or any(not isinstance(name, str) or Path(name).name != name for name in names):
            raise ValueError(f"{index} names no shard, or one outside its folder")
        names = sorted(set(names))
    elif (folder / "model.safetensors").exists():
        names = ["model.safetensors"]
    elif pickled := sorted(path.name for ending in ("bin", "pt", "pth") for path in folder.glob(f"*.{ending}")):
        raise ValueError(f"{folder} holds only pickled weights ({pickled[0]}), which can run code: use safetensors")
    elif any(folder.glob("*.onnx")):
        raise ValueError(
            f"{folder} holds graphs of ONNX, which can only caption, translate and score: give the model that they "
            "were made of"
        )
    else:
        raise ValueError(f"{folder} holds no model.safetensors")
    for name in names:
        if not (folder / name).is_file():
            raise ValueError(f"{folder} lacks the shard {name}, which its index names")
        _check_inside(folder, folder / name)
    return [folder / name for name in names]


def _check_inside(folder: Path, path: Path) -> None:
    """Refuse a link that leads out of the checkpoint; the Hub's own cache links into its blobs."""
    roots = [folder.resolve()]
    # The folder of the second tokenizer is inside a snapshot.
    above = [place for place in (roots[0], roots[0].parent) if place.parent.name == "snapshots"]
    roots += [snapshot.parents[1] / "blobs" for snapshot in above]
    if not any(path.resolve().is_relative_to(root) for root in roots):
        raise ValueError(f"{path} is a link out of its folder, to {path.resolve()}: put the file itself there")
