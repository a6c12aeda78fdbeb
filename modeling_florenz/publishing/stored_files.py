"""Check whether a file here is the one that the Hub holds, by the digests that it lists: nothing is fetched."""

import hashlib
from pathlib import Path
from typing import Any


def is_stored(path: Path, entry: Any) -> bool:
    """Return whether a file is there with the content of an entry.

    Args:
        path: of the file.
        entry: a `RepoFile`, as the Hub's client lists them: large files have a SHA-256, small ones git's own digest.
    """
    if not path.is_file() or path.stat().st_size != entry.size:
        return False
    if entry.lfs:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == entry.lfs.sha256
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == entry.blob_id
