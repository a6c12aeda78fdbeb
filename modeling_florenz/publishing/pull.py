"""Pull a model, an adapter or a dataset from the Hub into a folder."""

import shutil
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download

from ..resumable import whole_folder


def pull(repo_id: str, folder: Path, revision: str | None = None) -> Path:
    """Fetch a repository into a folder that is there whole or not at all; return the folder.

    What a broken pull of the same repository and revision has already brought over is not fetched again.

    Args:
        repo_id: of a model, an adapter or a dataset, as `owner/name`.
        folder: the new folder.
        revision: branch, tag or commit; None for the main branch.

    Raises:
        ValueError: the folder is not empty, another process is writing it, or the Hub cannot be reached or refuses.
    """
    source = "--".join([*repo_id.split("/"), *(revision or "main").split("/")])
    with whole_folder(folder, work=source) as partial:
        try:
            api = HfApi()
            kind = "model" if api.repo_exists(repo_id) else "dataset"
            commit = api.repo_info(repo_id, revision=revision, repo_type=kind).sha
            snapshot_download(repo_id, repo_type=kind, revision=commit, local_dir=partial)
            wanted = {partial / name for name in api.list_repo_files(repo_id, revision=commit, repo_type=kind)}
        except Exception as error:  # what the client raises depends on what it is built on
            raise ValueError(f"{repo_id} could not be fetched: {str(error).splitlines()[0]}") from None
        shutil.rmtree(partial / ".cache", ignore_errors=True)  # the client's notes on what is done
        for path in partial.rglob("*"):
            if path.is_file() and path not in wanted:
                path.unlink()  # of a commit that the branch has left since a broken pull
    return folder
