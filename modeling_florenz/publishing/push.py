"""Push a checked folder to the Hub in one commit, and check that everything is there as asked."""

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from .. import __version__
from ..checkpoint.model_folder import CODE_FILES
from .checks import check_folder, files_of, kind_of
from .leaks import DATA, PICKLED
from .stored_files import is_stored


TAG = f"v{__version__}"
_WEIGHTS = (".safetensors", ".safetensors.index.json", *DATA)
# What decides how a folder is read: a stale one beside new files would make another model of them.
_DECIDING = {
    *CODE_FILES,
    "adapter_config.json",
    "added_tokens.json",
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "merges.txt",
    "preprocessor_config.json",
    "processor_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
}
_KEPT = ".gitattributes"  # the Hub's own
_TRIES = 12  # of which many may fail on a bad line, as a push asks more than a dozen questions


@dataclass(frozen=True)
class Pushed:
    """Hold the commit of a push, and a sentence on everything that is not as one might expect."""

    commit: str
    notes: list[str] = field(default_factory=list)


def push(
    folder: Path, repo_id: str, private: bool = False, revision: str | None = None, retag: bool = False
) -> Pushed:
    """Push a checked folder in one commit, tag the package's version, and check what is there then.

    What an earlier, broken push has already brought over is not sent again. What the repository holds and the folder
    does not is deleted in the same commit if it would be loaded beside the new files; and all of it where an adapter
    takes the place of a model, or the reverse.

    Args:
        folder: of a model, an adapter or a dataset.
        repo_id: `owner/name`; made if there is none.
        private: only its owner may see it.
        revision: branch to push to; made if there is none.
        retag: move the version's tag if it is at an older commit.

    Raises:
        ValueError: the folder has findings, the repository can be seen by all and should be private, the Hub cannot
            be reached or refuses, or what is there afterwards differs from the folder.
    """
    if findings := check_folder(folder):
        raise ValueError(
            f"{folder} is not ready: {findings[0]}" + (f" ({len(findings)} findings)" if findings[1:] else "")
        )
    return _Push(folder, repo_id, private, revision, retag).run()


class _Push:
    """Hold what a push knows between the requests that it repeats when the connection breaks."""

    def __init__(self, folder: Path, repo_id: str, private: bool, revision: str | None, retag: bool) -> None:
        self.folder, self.repo_id, self.private = folder, repo_id, private
        self.revision, self.retag = revision, retag
        self.local = {path.relative_to(folder).as_posix(): path for path in files_of(folder)}
        self.holds = kind_of(folder)
        self.kind = "dataset" if self.holds == "dataset" else "model"
        self.api, self.commit = HfApi(), ""
        self.expected: set[str] = set()
        self.notes: list[str] = []

    def run(self) -> Pushed:
        last: Exception | None = None
        for _ in range(_TRIES):
            try:
                if not self.commit:
                    self._prepare_repository()
                    self._send()
                self.notes = []
                self._check_visibility()
                self._tag()
                self._check_files()
                return Pushed(self.commit, self.notes)
            except HfHubHTTPError as error:
                status = getattr(error.response, "status_code", 0)
                # 412: another push came between looking and sending.
                if 400 <= status < 500 and status not in (408, 412, 429):
                    raise ValueError(f"{self._failed()}: {str(error).splitlines()[0]}") from None
                last = error
            except ValueError:
                raise
            except Exception as error:  # a dropped connection comes as many kinds, by what the client is built on
                last = error
        raise ValueError(f"{self._failed()}: {str(last).splitlines()[0]}") from last

    def _failed(self) -> str:
        if self.commit:
            return f"{self.repo_id} is there as {self.commit}, but what came after failed, so push again"
        return f"{self.repo_id} could not be pushed, nothing is visible"

    def _prepare_repository(self) -> None:
        try:
            self._check_visibility()
        except RepositoryNotFoundError:
            self.api.create_repo(self.repo_id, private=self.private, repo_type=self.kind, exist_ok=True)
            self._check_visibility()
        if self.revision is not None:
            self.api.create_branch(self.repo_id, branch=self.revision, repo_type=self.kind, exist_ok=True)

    def _check_visibility(self) -> None:
        is_private = bool(self.api.repo_info(self.repo_id, repo_type=self.kind).private)
        if self.private and not is_private:
            sent = f"was pushed as {self.commit}" if self.commit else "nothing was sent"
            raise ValueError(
                f"{self.repo_id} can be seen by everyone, and --private was asked for; {sent}: make it private on the "
                "Hub, or leave --private out"
            )
        if is_private and not self.private and self.commit:
            self.notes.append(f"{self.repo_id} is private: only its owner can see it")

    def _send(self) -> None:
        head = self.api.repo_info(self.repo_id, revision=self.revision, repo_type=self.kind).sha
        there = set(self.api.list_repo_files(self.repo_id, revision=head, repo_type=self.kind))
        stale = sorted(name for name in there - self.local.keys() if self._is_stale(name, there))
        self.expected = (there - set(stale)) | self.local.keys()
        # Not upload_folder, which makes several commits of a large folder.
        done = self.api.create_commit(
            self.repo_id,
            [*map(CommitOperationDelete, stale), *(CommitOperationAdd(*item) for item in self.local.items())],
            commit_message=f"Push {self.folder.name} with modeling_florenz {__version__}",
            repo_type=self.kind,
            revision=self.revision,
            parent_commit=head,
        )
        self.commit = str(done.oid)

    def _is_stale(self, name: str, there: set[str]) -> bool:
        if name == _KEPT:
            return False
        mark = {"model": "adapter_config.json", "adapter": "config.json"}.get(self.holds)
        if mark in there:  # the other kind is there: nothing of it belongs to this one
            return True
        return name.endswith((*_WEIGHTS, *PICKLED)) or PurePosixPath(name).name in _DECIDING

    def _tag(self) -> None:
        tags = {tag.name: tag.target_commit for tag in self.api.list_repo_refs(self.repo_id, repo_type=self.kind).tags}
        if TAG in tags and tags[TAG] != self.commit:
            if not self.retag:
                self.notes.append(
                    f"the tag {TAG} stays at the older commit {tags[TAG]}: push again with --retag to move it"
                )
                return
            self.api.delete_tag(self.repo_id, tag=TAG, repo_type=self.kind)
        if tags.get(TAG) != self.commit:
            self.api.create_tag(self.repo_id, tag=TAG, revision=self.commit, repo_type=self.kind)

    def _check_files(self) -> None:
        """Compare the files of the commit with those of the folder, by name and by the Hub's digests."""
        tree: Any = self.api.list_repo_tree(self.repo_id, recursive=True, revision=self.commit, repo_type=self.kind)
        there = {entry.path: entry for entry in tree if hasattr(entry, "blob_id")}
        wrong = set(there) ^ self.expected
        wrong |= {name for name, path in self.local.items() if name in there and not is_stored(path, there[name])}
        if wrong:
            raise ValueError(
                f"{self.repo_id} is there as {self.commit}, but {len(wrong)} files are not those of {self.folder}, "
                f"such as {min(wrong)}: push again"
            )


def listing(folder: Path) -> list[tuple[str, int]]:
    """List name and size in bytes of every file that would go."""
    return [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in files_of(folder)]


def describe(folder: Path, repo_id: str, commit: str) -> str:
    """Return the line that loads what was pushed, pinned to its commit."""
    if kind_of(folder) == "dataset":
        return f'load_dataset("{repo_id}", revision="{commit}")'
    if kind_of(folder) == "adapter":
        return f'Captioner(adapter="{repo_id}")  # pushed as {commit}'
    return f'AutoModel.from_pretrained("{repo_id}", revision="{commit}", trust_remote_code=True)'
