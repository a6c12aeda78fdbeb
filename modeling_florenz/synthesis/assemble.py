"""Assemble rows to train on: captions by the number of their sentences, translations, pseudo-paragraphs."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
from datasets import Features, Image, Value

from ..data.columns import COLUMNS
from .closest_pairs import ClosestPairs
from .recipe import Assemble
from .sentences import split_sentences, upper_first
from .shards import Batch, Finished, Made, Row, Shard, digest_of


STYLES = ("caption", "detailed_caption", "more_detailed_caption")
# As `florenz train` reads them, with images that any reader of the data knows.
FEATURES = Features({**COLUMNS, "image": Image()})


@dataclass
class AssembleRows:
    """Write rows in the columns that `florenz train` reads.

    Args:
        options: languages of captions and of translations.
        seed: of subsets and orders, together with the image and the language.
        min_characters: of an English side that is translated.
        nsfw: whether the source says how fit for work an image is.
    """

    options: Assemble
    seed: int
    min_characters: int
    nsfw: bool = False

    name = "assemble"

    @property
    def schema(self) -> pa.Schema:
        """Return the columns of training, and `nsfw` where it is known."""
        return Features({**FEATURES, **({"nsfw": Value("string")} if self.nsfw else {})}).arrow_schema

    def settings(self) -> Row:
        """Return languages, seed and bound."""
        known = {"nsfw": True} if self.nsfw else {}
        return {**asdict(self.options), "seed": self.seed, "min_characters": self.min_characters, **known}

    def make(self, *inputs: list[Row]) -> Made:
        """Assemble the rows of a shard of images: what is said about them, and the pairs matched to them."""
        images, kept, said, pairs = inputs
        made, left = Made(), {row["key"] for row in kept}
        texts, matched = _grouped(said, "key"), _grouped(pairs, "image")
        for image in images:
            key = image["key"]
            if key not in left:
                continue
            left.remove(key)  # the same file can be there twice
            rows = [*self._about(key, texts.get(key, [])), *self._matched(key, matched.get(key, []))]
            unique = list({(row["task"], row["language"], row["source"], row["target"]): row for row in rows}.values())
            if not unique:
                made.skip(key, "image with no text")
            for number, row in enumerate(unique):
                shown = {"image": {"bytes": image["bytes"], "path": None}, "nsfw": image["nsfw"]}
                made.rows.append({**row, **shown, "references": [row["target"]], "key": f"{key}#{number}"})
        return made

    def _about(self, key: str, texts: Sequence[Row]) -> Iterator[Row]:
        for text in texts:
            language, target = text["language"], text["target"]
            if language in self.options.captions:
                yield from caption_rows(language, target)
            if language in self.options.translations and len(text["english"]) >= self.min_characters:
                yield _translation(language, text["english"], target)
                sides = (split_sentences(text["english"], "en"), split_sentences(target, language))
                if len(sides[0]) == len(sides[1]) > 1:
                    rng = random.Random(f"{self.seed}/{key}/{language}/{text['kind']}")
                    yield _shuffled(language, list(zip(*sides, strict=True)), rng)

    def _matched(self, key: str, pairs: Sequence[Row]) -> Iterator[Row]:
        for language, found in _grouped(pairs, "language").items():
            sentences = [
                (pair["english"], pair["target"]) for pair in found if len(pair["english"]) >= self.min_characters
            ]
            yield from (_translation(language, *pair) for pair in sentences)
            if len(sentences) > 1:
                yield _shuffled(language, sentences, random.Random(f"{self.seed}/{key}/{language}/pairs"))


def caption_rows(language: str, text: str) -> Iterator[Row]:
    """Yield the first sentence of a text as a caption, and all of a longer one in the style of its length.

    Example:

    ```python
    >>> [row["task"] for row in caption_rows("en", "A dog. It runs.")]
    ['caption', 'detailed_caption']
    ```
    """
    sentences = split_sentences(text, language)
    for count, part in ((1, sentences[:1]), (len(sentences), sentences[1:] and sentences)):
        if part:
            target = join_sentences(part, language)
            yield {"task": STYLES[min(count, 3) - 1], "language": language, "source": "", "target": target}


def join_sentences(sentences: Sequence[str], language: str) -> str:
    """Join sentences to a text, each with a large first letter; Chinese and Japanese need no spaces."""
    return ("" if language in ("zh", "ja") else " ").join(map(upper_first, sentences))


def assemble_batches(
    images: Finished, kept: Finished, said: Finished | None, pairs: ClosestPairs | None
) -> Iterator[Batch]:
    """Yield, for each shard of images, what is known about them."""
    for number, path in enumerate(images.paths):
        keys = [row["key"] for row in Shard(kept.paths[number], ("key",)).read()]
        matched = [row for key in keys for row in pairs.of(key)] if pairs else []
        texts: Shard | list[Row] = [] if said is None else Shard(said.paths[number])
        digests = [images.digests[number], kept.digests[number], said.digests[number] if said else ""]
        yield Batch(
            digest_of(digests, matched),
            (Shard(path, ("key", "bytes", "nsfw")), Shard(kept.paths[number], ("key",)), texts, matched),
            images.counts[number],
        )


def _translation(language: str, english: str, target: str) -> Row:
    return {"task": "translate", "language": language, "source": english, "target": target}


def _shuffled(language: str, pairs: list[tuple[str, str]], rng: random.Random) -> Row:
    chosen = rng.sample(pairs, rng.randint(2, len(pairs)))
    english, target = zip(*chosen, strict=True)
    return _translation(language, join_sentences(english, "en"), join_sentences(target, language))


def _grouped(rows: Sequence[Row], name: str) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[name], []).append(row)
    return groups
