"""Keep matched sentence pairs in a file, and give every image its closest ones."""

import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from itertools import groupby, islice
from pathlib import Path

from .shards import Row


_NAMES = ("key", "image", "score", "language", "english", "target")
_MARKS = ", ".join("?" * len(_NAMES))


class ClosestPairs:
    """Hold pairs on disk, so that memory does not grow with them; the file is removed at the end.

    Args:
        path: of the file.
        rows: matched pairs with `key`, `image`, `score`, `language`, `english` and `target`.
        cap: pairs of each image and language, the closest ones; of equally close ones the first by key.

    Raises:
        ValueError: the file cannot be written.

    Example:

    ```python
    >>> row = {"key": "0", "image": "a", "score": 0.5, "language": "de", "english": "A dog.", "target": "Ein Hund."}
    >>> with ClosestPairs(Path("pairs.sqlite"), [row], cap=1) as pairs:
    ...     pairs.of("a")[0]["target"]
    'Ein Hund.'
    ```
    """

    def __init__(self, path: Path, rows: Iterable[Row], cap: int) -> None:
        self.path, self.cap = path, cap
        path.unlink(missing_ok=True)
        try:
            self._file = sqlite3.connect(path)
            # It is made anew by every run: nothing in it has to outlive a power cut.
            self._file.execute("PRAGMA journal_mode = OFF")
            self._file.execute("PRAGMA synchronous = OFF")
            self._file.execute(f"CREATE TABLE pairs ({', '.join(_NAMES)})")
            self._file.executemany(
                f"INSERT INTO pairs VALUES ({_MARKS})", (tuple(row[name] for name in _NAMES) for row in rows)
            )
            self._file.execute("CREATE INDEX by_image ON pairs (image)")
        except sqlite3.Error as error:
            raise ValueError(f"{path} could not be written ({error}): make room on the disk") from None

    def __enter__(self) -> "ClosestPairs":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        with suppress(OSError):
            self.path.unlink()

    def of(self, image: str) -> list[Row]:
        """Return the closest pairs of an image, language by language, the closest first."""
        asked = f"SELECT {', '.join(_NAMES)} FROM pairs WHERE image = ? ORDER BY language, score DESC, key"
        rows = (dict(zip(_NAMES, values, strict=True)) for values in self._file.execute(asked, (image,)))
        return [row for _, group in groupby(rows, lambda row: row["language"]) for row in islice(group, self.cap)]
