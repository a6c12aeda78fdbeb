"""Record what ran, and on what: it stands beside every number that was measured."""

import platform
import re
import shlex
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from . import __version__


_LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "peft", "datasets", "bitsandbytes", "torchao")
_SECRET = re.compile(r"(token\W+)[^\s,}]+|\bhf_\w+", re.IGNORECASE)
# Of a place on this machine only the last name is of use to readers elsewhere.
_PLACE = re.compile(r"(?<![\w./:~-])(?:~?/|[A-Za-z]:\\)[^\s,=\[\]{}'\"]*")


def run_record() -> dict[str, Any]:
    """Return what ran, for a file of results.

    Returns:
        - `versions` of Python, this package and the libraries that are loaded, by name
        - `hardware`: the GPU, or the kind of CPU and the number of threads
        - `git_commit`: see `git_commit`
        - `command`: what was run, without folders of this machine and without tokens

    Example:

    ```python
    >>> sorted(run_record())
    ['command', 'git_commit', 'hardware', 'versions']
    ```
    """
    loaded = {name: sys.modules[name].__version__ for name in _LIBRARIES if name in sys.modules}
    versions = {"python": platform.python_version(), "modeling_florenz": __version__, **loaded}
    return {"versions": versions, "hardware": hardware(), "git_commit": git_commit(), "command": command()}


def environment() -> str:
    """Return every installed package with its version, one a line, in the format of pip's requirements."""
    found = {entry.metadata["Name"]: entry.version for entry in distributions()}
    return "".join(f"{name}=={found[name]}\n" for name in sorted(found, key=str.lower))


def hardware() -> str:
    """Name what computes: the GPU, or the kind of CPU and the number of threads."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def git_commit() -> str | None:
    """Return the commit of the clone that runs, with `-dirty` if the package was changed since; None if it is none."""
    here = Path(__file__)

    def git(*arguments: str) -> str:
        ask = ["git", "-C", str(here.parent), *arguments]
        return subprocess.run(ask, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", here.name)  # a package installed into some other clone is not of it
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".")
        return git("rev-parse", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None


def command() -> str:
    """Return the command of this process as others can run it."""
    arguments = sys.orig_argv[1:]
    if arguments[:1] == ["-c"]:
        return "python -c ..."
    is_program = arguments and not arguments[0].startswith("-") and Path(arguments[0]).suffix != ".py"
    return shlex.join(map(shorten, arguments if is_program else ["python", *arguments]))


def shorten(text: str) -> str:
    """Take folders of this machine and tokens out of a text.

    Example:

    ```python
    >>> shorten("output_dir=/home/me/runs/it")
    'output_dir=it'
    ```
    """

    def name(match: re.Match[str]) -> str:
        return re.split(r"[\\/]", match[0].rstrip("\\/"))[-1] or "."

    return _PLACE.sub(name, _SECRET.sub(lambda match: (match[1] or "") + "...", text))
