"""Pull a model, an adapter or a dataset from the Hub into a folder."""

import shutil
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download

from ..resumable import whole_folder, write_text
from .stored_files import is_stored


_COMMIT = Path(".cache", "commit")  # in the folder of the client's own notes


def pull(repo_id: str, folder: Path, revision: str | None = None) -> Path:
    """Fetch a repository into a folder that is there whole or not at all; return the folder.

    What a broken pull of the same commit has already brought over is not fetched again; of another commit, nothing of
    it is used.

    Args:
        repo_id: of a model, an adapter or a dataset, as `owner/name`.
        folder: the new folder.
        revision: branch, tag or commit; None for the main branch.

    Raises:
        ValueError: the folder is not empty, another process is writing it, the Hub cannot be reached or refuses, or
            what arrived is not what the commit holds.
    """
    source = "--".join([*repo_id.split("/"), *(revision or "main").split("/")])
    with whole_folder(folder, work=source) as partial:
        try:
            api = HfApi()
            kind = "model" if api.repo_exists(repo_id) else "dataset"
            commit = str(api.repo_info(repo_id, revision=revision, repo_type=kind).sha)
            _keep_only(commit, partial)
            snapshot_download(repo_id, repo_type=kind, revision=commit, local_dir=partial)
            tree: Any = api.list_repo_tree(repo_id, recursive=True, revision=commit, repo_type=kind)
            wanted = {partial / entry.path: entry for entry in tree if hasattr(entry, "size")}
        except Exception as error:  # what the client raises depends on what it is built on
            raise ValueError(f"{repo_id} could not be fetched: {str(error).splitlines()[0]}") from None
        shutil.rmtree(partial / ".cache", ignore_errors=True)
        wrong = [path for path, entry in wanted.items() if not is_stored(path, entry)]
        if wrong:
            shutil.rmtree(partial, ignore_errors=True)
            names = ", ".join(path.relative_to(partial).as_posix() for path in wrong[:3])
            raise ValueError(f"{repo_id} arrived with {len(wrong)} wrong files ({names}): pull again")
        for path in partial.rglob("*"):
            if path.is_file() and path not in wanted:
                path.unlink()
    return folder


def _keep_only(commit: str, partial: Path) -> None:
    """Empty a partial folder that is not of this commit: old and new files would mix."""
    note = partial / _COMMIT
    if not note.is_file() or note.read_text(encoding="utf-8") != commit:
        shutil.rmtree(partial)
        partial.mkdir()
        write_text(note, commit)
