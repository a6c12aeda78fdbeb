"""Find in a folder what must not be published: secrets, files of the system and of tools, pickles, local places."""

import re
from pathlib import Path


PICKLED = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy", ".joblib")
DATA = (".parquet", ".tar")  # of datasets
# Numbers and pictures, in which texts would be found by chance; headers are checked elsewhere.
_NUMBERS = (".safetensors", *DATA)
_LITTER = re.compile(
    r"\.(partial|lock|incomplete|pyc|tmp|swp|orig|rej|bak)$|~$"
    r"|(^|/)(\.DS_Store|\._[^/]*|Thumbs\.db|desktop\.ini|\.directory|\.nfs[^/]*|nohup\.out|slurm-[^/]*\.out|core\.\d+)$"
    r"|(^|/)events\.out\.tfevents\.[^/]*$"
    r"|(^|/)(\.git|\.svn|__pycache__|__MACOSX|\.cache|\.ipynb_checkpoints|\.idea|\.vscode|\.venv|\.pytest_cache"
    r"|\.mypy_cache|\.ruff_cache|wandb|mlruns|lightning_logs|checkpoint-\d+)(/|$)"
)
_KEY_FILE = re.compile(
    r"(^|/)(\.env(\..*)?|\.netrc|\.pypirc|\.npmrc|\.git-credentials|id_(rsa|dsa|ecdsa|ed25519)|[^/]*\.(pem|key|p12|pfx|jks))$"
)
_SECRET = re.compile(
    rb"\bhf_[A-Za-z0-9]{30,}|\bAKIA[0-9A-Z]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY|\bgh[pousr]_[A-Za-z0-9]{30,}"
    rb"|\bgithub_pat_\w{30,}|\bglpat-[\w-]{20,}|\bsk-[A-Za-z0-9_-]{32,}|\bxox[abprs]-[A-Za-z0-9-]{20,}"
    rb"|\bAIza[\w-]{35}\b|\bnpm_[A-Za-z0-9]{36}\b|\bpypi-[\w-]{50,}|https?://[^/\s:@\"']+:[^/\s:@\"']+@"
    rb"|(?i:\b\w*(?:api_?key|secret_?(?:access_?)?key|access_?token|auth_?token|hf_token|passw(?:or)?d)"
    rb"[\"']?[ \t]*[=:][ \t]*[\"']?[A-Za-z0-9/+_-]{16,})"
)
_LOCAL = re.compile(rb"(?<![\w./:])/(?:home|root|work|Users|tmp|mnt|data|scratch)/[\w.-]+")
_PIECE, _OVERLAP = 1 << 20, 1 << 12


def check_file(folder: Path, path: Path) -> list[str]:
    """List what speaks against publishing a file, one sentence each; an empty list is good.

    Args:
        folder: the one to publish.
        path: of a file in it.
    """
    name = path.relative_to(folder).as_posix()
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        return [f"{name} is a link out of the folder: put the file itself there"]
    if path.suffix in PICKLED:
        return [f"{name} may be pickled, which can run code: keep safetensors only"]
    if _LITTER.search(name):
        return [f"{name} does not belong in a published folder: remove it"]
    with path.open("rb") as file:
        if file.read(2) in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
            return [f"{name} is pickled whatever its name says: keep safetensors only"]
    secret, place = (None, None) if path.suffix in _NUMBERS else _search(path)
    findings = []
    if secret is not None:
        shown = secret[:6].decode(errors="replace")
        findings.append(f"{name} holds what looks like a secret ({shown}...): remove it and make a new one")
    elif _KEY_FILE.search(name):
        findings.append(f"{name} is where secrets are kept: remove it")
    if place is not None and path.name != "tokenizer.json":
        findings.append(f"{name} names a place on this machine ({place.decode()}): remove it")
    return findings


def _search(path: Path) -> tuple[bytes | None, bytes | None]:
    """Search all of a file, whatever its name, for a secret and, if it is text, for a place on this machine."""
    found: list[bytes | None] = [None, None]
    with path.open("rb") as file:
        head = file.read(2)
        wide = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}.get(head)
        kept, is_text, first = b"", True, True
        file.seek(0)
        while piece := file.read(_PIECE):
            if wide:
                piece = piece.decode(wide, errors="replace").encode()
            is_text = b"\0" not in piece if first else is_text
            first = False
            for index, pattern in enumerate((_SECRET, _LOCAL) if is_text else (_SECRET,)):
                if found[index] is None and (match := pattern.search(kept + piece)):
                    found[index] = match[0]
            kept = piece[-_OVERLAP:]
    return found[0], found[1]
