"""Keep the files of the small Hub, and fail as often as was asked for.

Files are stored by their SHA-256 in FOLDER/blobs, repositories as one JSON of commits each, written by a rename: a
commit is there whole or not at all.
"""

import hashlib
import json
import os
import random
import threading
from pathlib import Path
from typing import Any


class Store:
    """Keep repositories and blobs in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.Lock()
        (folder / "blobs").mkdir(parents=True, exist_ok=True)
        (folder / "repos").mkdir(exist_ok=True)

    def blob(self, sha256: str) -> Path:
        return self.folder / "blobs" / sha256

    def add_blob(self, content: bytes) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        self._write(self.blob(sha256), content)
        return sha256

    def _write(self, path: Path, content: bytes) -> None:
        partial = path.with_name(f"{path.name}.{threading.get_ident()}.partial")
        partial.write_bytes(content)
        os.replace(partial, path)

    def _path(self, kind: str, name: str) -> Path:
        return self.folder / "repos" / f"{kind}--{name.replace('/', '--')}.json"

    def repo(self, kind: str, name: str) -> dict[str, Any] | None:
        path = self._path(kind, name)
        return json.loads(path.read_text()) if path.exists() else None

    def save(self, kind: str, name: str, repo: dict[str, Any]) -> None:
        self._write(self._path(kind, name), json.dumps(repo).encode())

    def commit(
        self, kind: str, name: str, branch: str, changes: dict[str, dict[str, Any] | None], after: str | None
    ) -> str | None:
        """Make the next commit: changed files by path, None for a deleted one; return None if `after` is not last."""
        with self.lock:
            repo = self.repo(kind, name)
            parent = repo["refs"][branch]
            if after not in (None, parent):
                return None
            files = {**repo["commits"][parent], **changes}
            files = {path: file for path, file in files.items() if file is not None}
            sha = hashlib.sha1(json.dumps([parent, files, len(repo["commits"])]).encode()).hexdigest()
            repo["commits"][sha] = files
            repo["refs"][branch] = sha
            self.save(kind, name, repo)
        return sha

    def describe(self, path: str, file: dict[str, Any]) -> dict[str, Any]:
        """Describe a file as the Hub does: by git's digest of its content, or of the pointer to it."""
        size, sha256 = file["size"], file["sha256"]
        entry = {"type": "file", "path": path, "size": size}
        if not file["lfs"]:
            return {**entry, "oid": _git_blob(self.blob(sha256).read_bytes())}
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
        lfs = {"oid": sha256, "size": size, "pointerSize": len(pointer)}
        return {**entry, "oid": _git_blob(pointer), "lfs": lfs}


def _git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Faults:
    """Answer 500, or drop the connection in the middle of a file, at seeded random."""

    def __init__(self, seed: int | None, share: float) -> None:
        self.random = None if seed is None else random.Random(seed)
        self.share = share

    def strike(self, handler: Any) -> bool:
        if self.random is None or self.random.random() >= self.share:
            return False
        handler.close_connection = True
        if self.random.random() < 0.5:
            handler.send(500, {"error": "a fault was asked for"})
        else:
            handler.connection.close()
        return True

    def cut(self, handler: Any, sent: int) -> bool:
        if self.random is None or self.random.random() >= self.share / 2:
            return False
        handler.close_connection = True
        handler.connection.close()
        return True
