"""Say what a folder of ONNX graphs holds, and refuse one that is not whole or was changed."""

import hashlib
import importlib.util
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..checkpoint.settings import read_settings
from ..extras import install_command
from ..resumable import write_json


MANIFEST = "florenz_onnx.json"
_AGAIN = "write the folder again with florenz export"


@dataclass(frozen=True)
class OnnxManifest:
    """Hold what a folder of graphs was made with.

    Args:
        opset: version of ONNX's operators.
        image_size: side of the images in pixels, which the graphs fix.
        int8: whether weights are stored in 8 bits.
        files: SHA-256 of each graph and of its weights, by file name.
        versions: of the libraries that wrote them.
    """

    opset: int
    image_size: int
    int8: bool
    files: dict[str, str]
    versions: dict[str, str]


def is_exported(model: str | Path | None) -> bool:
    """Return whether a model is a folder of ONNX graphs."""
    return model is not None and (Path(model).expanduser() / MANIFEST).is_file()


def refuse_for_graphs(
    device: str | None, quantize: str | None, adapter: str | Path | None, dtype: str, compile: bool
) -> None:
    """Refuse what graphs cannot do; see `Captioner`.

    Raises:
        ValueError: ONNX Runtime is not installed, or something is asked for that only models of torch can do.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        raise ValueError(f"graphs need onnxruntime, which is not installed: {install_command('onnx')}")
    given = {
        "device": device not in (None, "cpu"),
        "quantize": quantize is not None,
        "adapter": adapter is not None,
        "dtype": dtype == "bfloat16",
        "compile": compile,
    }
    for name, is_given in given.items():
        if is_given:
            raise ValueError(
                f"{name} is for models of torch: graphs run on the CPU as they are, so leave it out or give the model "
                "that they were made of"
            )


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, manifest: OnnxManifest) -> None:
    """Write the manifest into a folder of graphs."""
    write_json(folder / MANIFEST, asdict(manifest))


def read_manifest(folder: Path, graphs: tuple[str, ...], opset: int) -> OnnxManifest:
    """Read the manifest of a folder, and compare every graph with it.

    Args:
        folder: as `florenz export` writes it.
        graphs: names of the graphs that must be there.
        opset: version of ONNX's operators that is run here.

    Raises:
        ValueError: the manifest is broken, or a graph is missing, changed or of another opset.
    """
    values: dict[str, Any] = read_settings(folder / MANIFEST)
    try:
        manifest = OnnxManifest(**values)
        files = dict(manifest.files)
        if not (all(isinstance(value, str) for value in files.values()) and isinstance(manifest.image_size, int)):
            raise TypeError
    except (TypeError, ValueError):
        raise ValueError(f"{folder / MANIFEST} is not a manifest of graphs: {_AGAIN}") from None
    if manifest.opset != opset:
        raise ValueError(f"the graphs of {folder} are of opset {manifest.opset!r}, and this runs {opset}: {_AGAIN}")
    for name in (*files, *(f"{graph}.onnx" for graph in graphs)):
        path = folder / name
        if Path(name).name != name or name not in files:
            raise ValueError(f"{folder / MANIFEST} says nothing of {name}, or of a file elsewhere: {_AGAIN}")
        if not path.is_file():
            raise ValueError(f"{folder} lacks {name}: {_AGAIN}")
        if file_digest(path) != files[name]:
            raise ValueError(f"{path} was changed since it was written: {_AGAIN}")
    return manifest
