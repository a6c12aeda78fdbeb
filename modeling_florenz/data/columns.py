"""Put every dataset into the same columns: rows are checked when loaded, images are opened when read."""

import io
import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, Image, List, Value
from PIL import Image as PILImage

from ..processing_florenz import SOURCE, TASKS
from .choices import check_choice
from .files import check_utf8
from .images import open_image


@dataclass
class OpenedImage(Image):
    """Hold images as paths or bytes, opened like all images in the package instead of by PIL directly."""

    def decode_example(self, value: dict[str, Any], token_per_repo_id: Any = None) -> PILImage.Image:
        """Open the image of one row."""
        if value["path"] is None:
            return open_image(io.BytesIO(value["bytes"]), "the image")
        return open_image(value["path"])


COLUMNS = Features(
    {
        "image": OpenedImage(),
        "task": Value("string"),
        "language": Value("string"),
        "source": Value("string"),
        "target": Value("string"),
        "references": List(Value("string")),
        "key": Value("string"),
    }
)
ISO_639_1 = frozenset(
    "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en "
    "eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja "
    "jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb "
    "nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq "
    "sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu".split()
)


@dataclass(frozen=True, slots=True)
class Row:
    """Hold one example: the target is the first reference; `where` says in errors where the example is.

    `incorrect` is a wrong translation that another image would make right; a dataset has one in all rows or in none.
    """

    image: Path
    task: str
    language: str
    references: list[str]
    key: str
    where: str
    source: str = ""
    incorrect: str | None = None


def build_dataset(rows: Iterable[Row], origin: Path, stand_in: bool = False) -> Dataset:
    """Build a dataset with `COLUMNS`, and `incorrect` where rows have it, without opening an image.

    Args:
        rows: checked one by one.
        origin: file or folder of the rows, named in the error if there are none.
        stand_in: show a plain grey picture where an image is missing, for trial runs on text alone.

    Raises:
        ValueError: there is no row, or one has an unknown task or language, an empty text, a source it
            should not have or lacks one it needs, a key that is taken, or no image.
    """
    columns: dict[str, list[Any]] = {name: [] for name in (*COLUMNS, "incorrect")}
    places: dict[str, str] = {}
    for row in rows:
        check_utf8(row.image)
        check_texts(row)
        if row.key in places:
            raise ValueError(f"{row.where}: the key {row.key} is also in {places[row.key]}: keep one of them")
        places[row.key] = row.where
        found = os.path.isfile(row.image)
        if not found and not stand_in:
            raise ValueError(
                f"{row.where}: the image {row.image} does not exist: put it there, or pass stand_in=True for a trial "
                "run on text alone"
            )
        # Only an absolute path can never be mistaken for an address.
        image = {"bytes": None, "path": str(row.image.absolute())} if found else {"bytes": _grey(), "path": None}
        for name in ("task", "language", "source", "references", "key"):
            columns[name].append(getattr(row, name))
        columns["image"].append(image)
        columns["target"].append(row.references[0])
        if row.incorrect is not None:
            columns["incorrect"].append(row.incorrect)
    if not places:
        raise ValueError(f"{origin} holds no rows of what was asked for: check that its files are complete")
    if not columns["incorrect"]:
        del columns["incorrect"]
        return Dataset.from_dict(columns, features=COLUMNS)
    return Dataset.from_dict(columns, features=Features({**COLUMNS, "incorrect": Value("string")}))


def caption_rows(row: Row, training: bool) -> Iterator[Row]:
    """Yield an image with all its references as one row or, for training, one row per caption."""
    if not training:
        yield row
        return
    for number, caption in enumerate(row.references, start=1):
        yield replace(row, references=[caption], key=f"{row.key}#{number}")


def warn_if_incomplete(path: Path, found: int, published: int) -> None:
    """Warn if a dataset is not complete, because its results cannot be compared with published ones."""
    if found != published:
        warnings.warn(
            f"{path} has {found:,} entries, but {published:,} were published: its results cannot be compared",
            stacklevel=3,
        )


def check_texts(row: Row) -> None:
    """Check the task, language and texts of a row.

    Raises:
        ValueError: one of them is unknown, empty, or one that the task does not have.
    """
    try:
        check_choice("task", row.task, TASKS)
        if row.language not in ISO_639_1:
            raise ValueError(f"the language {row.language!r} is not an ISO 639-1 code: give one such as en, de or zh")
        translates = SOURCE in TASKS[row.task]
        if translates and row.language == "en":
            raise ValueError("translations are from English into another language: give that language, not 'en'")
        if translates != bool(row.source.strip()):
            due = "needs a source, the English text" if translates else "takes no source: leave it out"
            raise ValueError(f"the task {row.task} {due}")
        if not row.references:
            raise ValueError("there are no texts: give at least one")
        texts = [row.source, *row.references, *([] if row.incorrect is None else [row.incorrect])]
        if not all(text.strip() for text in texts[1:]):
            raise ValueError("a text is empty: write one or remove the row")
        "".join(texts).encode()
    except UnicodeEncodeError:
        # JSON can escape half of a character, which no text file can hold.
        raise ValueError(f"{row.where}: a text holds half a character (a surrogate): write it again") from None
    except ValueError as error:
        raise ValueError(f"{row.where}: {error}") from None


@cache
def _grey() -> bytes:
    buffer = io.BytesIO()
    PILImage.new("RGB", (64, 64), (128, 128, 128)).save(buffer, "PNG")
    return buffer.getvalue()
