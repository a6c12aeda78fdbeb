"""Read what a recipe starts from: images, and sentence pairs from files whose lines correspond."""

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from ..data.emoji_scenes.wording import PREFIXES
from ..data.image_inputs import find_image_inputs
from ..data.images import open_image
from .evaluation_sets import EvaluationSets
from .filters import normal_form, wrong_with_pair
from .models import world
from .near_images import signature
from .recipe import Bitexts, Filters, Images
from .shards import Batch, Made, Row, digest_of


PAIRS_PER_IMAGE = 20  # a shard of sentence pairs has so many for each image in a shard of images
SCENES_NAMED = "emoji_scenes#"


@dataclass
class ReadImages:
    """Read, check and digest images; the key of an image is the digest of its file."""

    name = "images"
    schema = pa.schema(
        {
            "key": pa.string(),
            "name": pa.string(),
            "bytes": pa.binary(),
            "hash": pa.binary(8),
            "grey": pa.binary(1024),
            "nsfw": pa.string(),
        }
    )

    def settings(self) -> Row:
        """Return nothing: an image is what it is."""
        return {"signature": 1}

    def make(self, *inputs: list[Row]) -> Made:
        """Read images."""
        made = Made()
        for row in inputs[0]:
            if row["problem"]:
                made.skip(row["name"], "image not read", row["problem"], fault=not row["passed_over"])
                continue
            try:
                content = self._content(row)
                image = open_image(io.BytesIO(content), row["name"])
            except FileNotFoundError:
                made.skip(row["name"], "image not read", f"{row['name']} does not exist", fault=True)
                continue
            except (ValueError, OSError) as error:
                reason = getattr(error, "strerror", None)
                detail = f"{row['name']} could not be read: {reason}" if reason else str(error)
                made.skip(row["name"], "image not read", detail, fault=True)
                continue
            hash_, grey = signature(image)
            key = sha256(content).hexdigest()[:20]
            said = {"name": row["name"], "bytes": content, "nsfw": row["nsfw"]}
            made.rows.append({"key": key, "hash": hash_, "grey": grey, **said})
        return made

    def _content(self, row: Row) -> bytes:
        if row["name"].startswith(SCENES_NAMED):
            buffer = io.BytesIO()
            scene = world().scene("train", int(row["name"].removeprefix(SCENES_NAMED)))
            world().render(scene).save(buffer, "PNG")
            return buffer.getvalue()
        return row["content"] if row["path"] is None else Path(row["path"]).read_bytes()


def image_batches(images: Images, size: int, limit: int = 0) -> Iterator[Batch]:
    """Yield the images of a recipe in batches, at most `limit` of them; all for 0."""
    rows = _image_rows(images)
    for part in _chunks(islice(rows, limit) if limit else rows, size):
        yield Batch(digest_of([row["stamp"] for row in part]), (part,), len(part))


def _image_rows(images: Images) -> Iterator[Row]:
    for number in range(images.scenes):
        yield _image_row(f"{SCENES_NAMED}{number}")
    paths = map(os.path.expanduser, images.paths)
    for image in find_image_inputs(paths, recursive=True, column=images.column, beside=images.nsfw):
        row = _image_row(image.name, image.path, image.content, image.problem, image.passed_over)
        if image.beside is not None:
            row["nsfw"] = str(image.beside)
            row["stamp"].append(row["nsfw"])
        if image.path is not None and not image.problem:
            try:
                stat = os.stat(image.path)
                row["stamp"] += [stat.st_size, stat.st_mtime_ns]
            except OSError:
                pass  # said when it is read
        yield row


def _image_row(
    name: str,
    path: Path | None = None,
    content: bytes | None = None,
    problem: str | None = None,
    passed_over: bool = False,
) -> Row:
    stamp = [name, problem, sha256(content or b"").hexdigest()]
    return {
        "name": name,
        "path": None if path is None else str(path),
        "content": content,
        "problem": problem,
        "passed_over": passed_over,
        "nsfw": None,
        "stamp": stamp,
    }


def decoded(content: bytes) -> Image.Image:
    """Open an image that was checked before."""
    return open_image(io.BytesIO(content), "an image")


@dataclass
class ReadPairs:
    """Filter sentence pairs, and take out those that an evaluation set holds."""

    filters: Filters
    known: tuple[str, ...]
    tested: EvaluationSets

    name = "bitexts"
    schema = pa.schema(
        {
            "key": pa.string(),
            "language": pa.string(),
            "english": pa.string(),
            "target": pa.string(),
            "origin": pa.int32(),
        }
    )

    def settings(self) -> Row:
        """Return bounds, languages and evaluation sets."""
        return {"filter": vars(self.filters), "languages": self.known, "evaluation": self.tested.settings()}

    def make(self, *inputs: list[Row]) -> Made:
        """Filter sentence pairs."""
        made = Made()
        for row in inputs[0]:
            texts = (row["english"], row["target"])
            reason = "said before" if row["again"] else None
            reason = reason or wrong_with_pair(*texts, row["language"], self.filters, self.known)
            if reason is None and (found := self.tested.texts.find(texts)):
                reason = f"in the evaluation set {found}"
            if reason is not None:
                made.skip(row["key"], reason)
            else:
                made.rows.append({name: row[name] for name in self.schema.names})
        return made


def check_lines(bitexts: list[Bitexts]) -> int:
    """Check that the files of sentence pairs correspond; return the number of pairs.

    Raises:
        ValueError: a file is missing or broken, or has another number of lines.
    """
    total = 0
    for entry in bitexts:
        total += entry.scenes
        if not entry.english:
            continue
        lines = sum(1 for _ in _lines(entry.english))
        for path in entry.translations.values():
            if (other := sum(1 for _ in _lines(path))) != lines:
                raise ValueError(
                    f"{path} has {other:,} lines, but {entry.english} has {lines:,}: their lines must correspond"
                )
            total += lines
    return total


def pair_batches(bitexts: list[Bitexts], languages: list[str], size: int, limit: int = 0) -> Iterator[Batch]:
    """Yield the sentence pairs of a recipe in batches, at most `limit` of each file; all for 0."""
    seen: set[int] = set()

    def rows() -> Iterator[Row]:
        for origin, entry in enumerate(bitexts):
            scenes = min(entry.scenes, limit or entry.scenes)
            found = _scene_pairs(scenes, languages) if scenes else _file_pairs(entry, languages, limit)
            for number, (language, english, target) in enumerate(found):
                mark = sha256(f"{language} {normal_form(english)} {normal_form(target)}".encode()).digest()[:8]
                again = int.from_bytes(mark, "big") in seen
                seen.add(int.from_bytes(mark, "big"))
                yield {
                    "key": f"{origin}-{language}-{number}",
                    "language": language,
                    "english": english,
                    "target": target,
                    "origin": origin,
                    "again": again,
                }

    for part in _chunks(rows(), size):
        yield Batch(digest_of(part), (part,), len(part))


def _file_pairs(entry: Bitexts, languages: list[str], limit: int) -> Iterator[tuple[str, str, str]]:
    for language, path in entry.translations.items():
        if language not in languages:
            continue
        pairs = zip(_lines(entry.english), _lines(path), strict=True)
        for english, target in islice(pairs, limit) if limit else pairs:
            yield language, english, target


def _scene_pairs(count: int, languages: list[str]) -> Iterator[tuple[str, str, str]]:
    languages = [language for language in languages if language in PREFIXES]
    for index in range(count if languages else 0):
        scene, language = world().scene("train", index // len(languages)), languages[index % len(languages)]
        yield language, world().caption(scene, "en"), world().caption(scene, language)


def _lines(name: str) -> Iterator[str]:
    path = Path(os.path.expanduser(name))
    try:
        opener: Any = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8-sig", newline="\n") as file:
            for line in file:
                yield line.strip()
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist: name a file with one sentence a line") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not text in UTF-8: save it as UTF-8") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} could not be read ({error}): download the file again") from None


def _chunks(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    while part := list(islice(rows, size)):
        yield part
