"""Say how to install what a command needs and the package alone does not bring."""

import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname


def install_command(extra: str) -> str:
    """Return the command that installs an extra: from the clone the package came from, else by its name.

    Args:
        extra: `train`, `eval`, `scale`, `scaling`, `cluster`, `bulk`, `synthesis`, `ray`, `onnx`, `serve` or `space`.
    """
    clone = _find_clone()
    if clone is None:
        return f'pip install "modeling-florenz[{extra}]"'
    return f'pip install "{"." if clone == Path.cwd() else clone}[{extra}]"'


def _find_clone() -> Path | None:
    beside = Path(__file__).resolve().parents[1]
    if (beside / "pyproject.toml").is_file():
        return beside
    try:
        origin = json.loads(distribution("modeling-florenz").read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        return None
    if "dir_info" not in origin:
        return None
    folder = Path(url2pathname(urlparse(origin["url"]).path))
    return folder if (folder / "pyproject.toml").is_file() else None
