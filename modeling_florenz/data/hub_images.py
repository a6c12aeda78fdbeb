"""Read the images of a dataset on the Hub one after another, without a copy of it on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..extras import install_command
from .dataset_info import HubPlace
from .image_inputs import HUB, ImageInput
from .images import is_read


if TYPE_CHECKING:
    from .hub_files import HubFiles


_ADDRESS = re.compile(rf"{HUB}(?P<repo>[^/@]+/[^/@]+)(@(?P<revision>[^@]+))?")
# How to fix a recipe, and how to fix the command.
_WORDS = {"in config": "as CONFIG in --split CONFIG/SPLIT", "in columns": "with --image-column"}


def hub_images(address: str, split: str = "train", column: str = "image") -> Iterator[ImageInput]:
    """Yield the images of a split, each called by its place in the commit that the revision names now.

    Args:
        address: `hf://datasets/OWNER/NAME`, with `@REVISION` for another branch, a tag or a commit.
        split: a split, or `CONFIG/SPLIT` where the dataset's card lists several configurations.
        column: of parquet tables; archives and folders are searched for image files.

    Example:

    ```python
    >>> next(hub_images("hf://datasets/owner/photos")).name  # doctest: +SKIP
    'hf://datasets/owner/photos@1f0c.../data/train-00000-of-00001.parquet#0'
    ```
    """
    try:
        yield from _images(address, split, column)
    except ModuleNotFoundError as error:
        reason = f"{address} needs {error.name}, which is not installed: {install_command('bulk')}"
        yield ImageInput(address, problem=reason)
    except ValueError as error:
        reason = str(error)
        for recipe, command in _WORDS.items():
            reason = reason.replace(recipe, command)
        yield ImageInput(address, problem=reason)


def _images(address: str, split: str, column: str) -> Iterator[ImageInput]:
    from .hub_files import choose_files, find_files

    if (found := _ADDRESS.fullmatch(address.rstrip("/"))) is None:
        raise ValueError(f"{address} is not the address of a dataset: {HUB}OWNER/NAME, or with @REVISION")
    config, _, name = split.rpartition("/")
    files = find_files(Path(), HubPlace(found["repo"], found["revision"], config))
    chosen = choose_files(files, config, name)
    root = f"{HUB}{found['repo']}@{files.commit}"
    if any(name.endswith((".parquet", ".tar")) for name in chosen):
        yield from _rows(files, chosen, root, column)
        return
    if not (pictures := [name for name in chosen if is_read(name)]):
        raise ValueError(
            f"the split {split!r} of {files.place} has no .parquet, .tar or image files, only {', '.join(chosen[:3])}"
        )
    for name in pictures:
        yield ImageInput(f"{root}/{name}", content=files.read(name))


def _rows(files: HubFiles, chosen: Sequence[str], root: str, column: str) -> Iterator[ImageInput]:
    from .hub_files import SourceEndedError
    from .hub_readers import ArchiveReader, ParquetReader, Reader

    reader: Reader
    if tables := [name for name in chosen if name.endswith(".parquet")]:
        reader = ParquetReader(files, tables, column, [])
        reader.check_column()
    else:
        reader = ArchiveReader(files, [name for name in chosen if name.endswith(".tar")], "")
    before, empty = None, True
    for record in reader.records():
        if record.place == before:  # several texts about one image
            continue
        before, empty = record.place, False
        table, is_row, row = record.where.rpartition(" row ")
        name = f"{root}/{table}#{int(row) - 1}" if is_row else f"{root}/{record.where}"
        try:
            yield ImageInput(name, content=reader.image(record.place))
        except ValueError as error:
            if isinstance(error, SourceEndedError):
                raise
            yield ImageInput(name, problem=f"{name}: {error}")
    if empty:
        raise ValueError(f"{', '.join(chosen[:3])} of {files.place} holds no image: name another split")
