"""Write the rows of a shard as a WebDataset archive: one record per image, with all of its rows."""

import io
import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pyarrow.parquet as pq
from PIL import Image

from ..extras import install_command
from .shards import Row


ENDINGS = {"parquet": "parquet", "webdataset": "tar"}


def write_archive(shard: Path, path: Path) -> None:
    """Write a tar archive: of each image its file, and beside it `.json` with the list of its rows.

    Raises:
        ValueError: webdataset is not installed.
    """
    try:
        from webdataset import TarWriter
    except ImportError:
        raise ValueError(f"format: archives need webdataset: {install_command('synthesis')}") from None
    with TarWriter(str(path), encoder=False, user="", group="", mtime=0) as archive:
        for key, rows in groupby(_rows(shard), lambda row: row["key"].partition("#")[0]):
            first, *others = rows
            content = first.pop("image")["bytes"]
            said = [{name: row[name] for name in first} for row in (first, *others)]
            text = json.dumps(said, ensure_ascii=False).encode("utf-8", errors="replace")
            archive.write({"__key__": key, _ending(content): content, "json": text})


def _rows(shard: Path) -> Iterator[Row]:
    table = pq.ParquetFile(shard)
    for group in range(table.num_row_groups):
        yield from table.read_row_group(group).to_pylist()


def _ending(content: bytes) -> str:
    with Image.open(io.BytesIO(content)) as image:
        return str(image.format).lower()
