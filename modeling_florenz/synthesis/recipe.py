"""The fields of a synthesis recipe, and what must be true of them together."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ..data.columns import ISO_639_1
from ..inference.language_names import NLLB_CODES


FORMATS = ("parquet", "webdataset")
SCENES = "emoji_scenes"  # in the place of a model: what the world of the scenes knows itself
DESCRIBE = (
    "Describe the image in detail. If you see text or objects, describe them in detail, as well as all other "
    "aspects of the foreground and background."
)


@dataclass(frozen=True)
class Images:
    """Say which images are used.

    Args:
        paths: files, folders, patterns, parquet tables and tar archives.
        scenes: so many emoji scenes, in place of `paths`.
        column: of parquet tables.
        nsfw: column of parquet tables that says how fit for work an image is; the data gets it as the column `nsfw`.
        captions: JSON lines with `image`, a file name, and `text`, in English, which are translated with the
            description as context; empty if there are none.
        source, license: for the card.
    """

    source: str
    license: str
    paths: list[str] = field(default_factory=list)
    scenes: int = 0
    column: str = "image"
    nsfw: str = ""
    captions: str = ""


@dataclass(frozen=True)
class Bitexts:
    """Say which sentence pairs are matched to images.

    Args:
        english: file with one sentence a line, plain or `.gz`.
        translations: file by language, line for line.
        scenes: so many emoji sentences in each language of `assemble.translations`, in place of files.
        source, license: for the card.
    """

    source: str
    license: str
    english: str = ""
    translations: dict[str, str] = field(default_factory=dict)
    scenes: int = 0


@dataclass(frozen=True)
class Describe:
    """Say what describes the images: a model of transformers, or an endpoint that speaks OpenAI's protocol.

    Args:
        model: of transformers by folder or repository, or as the endpoint calls it.
        endpoint: address up to `/v1`; empty to load the model here.
        key_variable: environment variable with the endpoint's key.
        prompt: what is asked about every image.
        prefix: first words of the answer, which are not part of the description.
        max_new_tokens, batch_size: of the model.
        concurrency: requests under way at a time.
        timeout: of a request, in seconds.
        attempts: for each image, before it is skipped.
    """

    model: str
    endpoint: str = ""
    key_variable: str = ""
    prompt: str = DESCRIBE
    prefix: str = "The image shows "
    max_new_tokens: int = 64
    batch_size: int = 8
    concurrency: int = 8
    timeout: float = 120.0
    attempts: int = 5


@dataclass(frozen=True)
class Translate:
    """Say what translates descriptions, and captions with the description as context.

    Args:
        model: NLLB by folder or repository.
        languages: to translate into.
        num_beams, max_length, length_penalty: of the search for captions; descriptions get `max_description`
            tokens and no length penalty.
    """

    model: str
    languages: list[str]
    num_beams: int = 4
    max_length: int = 64
    max_description: int = 256
    length_penalty: float = 0.9
    batch_size: int = 16


@dataclass(frozen=True)
class Match:
    """Say how sentence pairs find their images.

    Args:
        model: CLIP or SigLIP by folder or repository.
        top: images for each sentence.
        threshold: smallest cosine.
        cap: sentences for each image and language, the closest ones.
    """

    model: str
    top: int = 5
    threshold: float = 0.2
    cap: int = 10
    batch_size: int = 64


@dataclass(frozen=True)
class Filters:
    """Say which sentence pairs and descriptions are kept, by length in characters and by language."""

    min_characters: int = 26
    max_characters: int = 1000
    max_ratio: float = 3.0
    language: bool = True


@dataclass(frozen=True)
class Decontaminate:
    """Say where the evaluation sets are; those that are missing are named and not looked at."""

    data_folder: str = "data"
    skip: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Assemble:
    """Say which rows are written: captions and translations by language."""

    captions: list[str]
    translations: list[str]


@dataclass(frozen=True)
class Recipe:
    """Hold a recipe.

    Args:
        name, license, summary, repository: for the card; the repository is where it will be on the Hub.
        seed: of subsets and orders.
        shard: images in a shard; sentences are twenty times as many.
        processor: whose tokenizers count tokens; the bundled one if left out.
        format: of the data: `parquet`, or `webdataset` for tar archives with one record per image.
        ray: address of a Ray cluster that runs the models, or `local`; empty for this machine alone.
    """

    name: str
    license: str
    summary: str
    images: Images
    assemble: Assemble
    bitexts: list[Bitexts] = field(default_factory=list)
    describe: Describe | None = None
    translate: Translate | None = None
    match: Match | None = None
    filter: Filters = Filters()
    decontaminate: Decontaminate = Decontaminate()
    repository: str = ""
    seed: int = 0
    shard: int = 256
    processor: str = ""
    format: str = "parquet"
    ray: str = ""

    def __post_init__(self) -> None:
        _check(self)

    @property
    def languages(self) -> list[str]:
        """Return English and all languages of the recipe."""
        return list(dict.fromkeys(["en", *self.assemble.captions, *self.assemble.translations]))


def _check(recipe: Recipe) -> None:
    for name, languages in (
        ("assemble.captions", recipe.assemble.captions),
        ("assemble.translations", recipe.assemble.translations),
        ("translate.languages", recipe.translate.languages if recipe.translate else []),
        *(("bitexts.translations", list(entry.translations)) for entry in recipe.bitexts),
    ):
        for language in languages:
            if language not in ISO_639_1:
                raise ValueError(f"{name}: {language!r} is not an ISO 639-1 code: give one such as de or zh")
            if language == "en" and name != "assemble.captions":
                raise ValueError(f"{name}: translations are from English into another language, not 'en'")
    if recipe.translate and recipe.translate.model != SCENES:
        for language in recipe.translate.languages:
            if language not in NLLB_CODES:
                raise ValueError(f"translate.languages: NLLB's code of {language!r} is not known: leave it out")
    made = {"en", *(recipe.translate.languages if recipe.translate else [])}
    if lost := [language for language in recipe.assemble.captions if language not in made]:
        raise ValueError(f"assemble.captions: nothing is translated into {lost[0]!r}: name it in translate.languages")
    if recipe.assemble.captions and recipe.describe is None:
        raise ValueError("assemble.captions asks for captions, but nothing describes the images: add describe")
    if recipe.format not in FORMATS:
        raise ValueError(f"format must be {' or '.join(FORMATS)}, not {recipe.format!r}")
    if bool(recipe.images.paths) == bool(recipe.images.scenes):
        raise ValueError("images needs paths or a number of scenes, and not both")
    if recipe.translate and recipe.describe is None:
        raise ValueError("translate needs descriptions to translate: add describe")
    if bool(recipe.bitexts) != (recipe.match is not None):
        raise ValueError("bitexts and match go together: give both or neither")
    for entry in recipe.bitexts:
        if bool(entry.english and entry.translations) == bool(entry.scenes):
            raise ValueError("bitexts needs english and translations, or a number of scenes, and not both")
    if recipe.describe and recipe.describe.endpoint:
        address = urlsplit(recipe.describe.endpoint)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError(f"describe.endpoint must begin with http:// or https://, not {address.scheme!r}")
        if address.username or address.password or address.query:
            raise ValueError("describe.endpoint holds a key or password: name its variable in key_variable instead")
    places: tuple[Any, ...] = (recipe, recipe.images, recipe.describe, recipe.translate, recipe.match, recipe.filter)
    for place in places:
        for item in dataclasses.fields(place) if place else ():
            value = getattr(place, item.name)
            low = {"threshold": -1, "seed": 0, "scenes": 0, "length_penalty": 0}.get(item.name, 1)
            if isinstance(value, int | float) and not isinstance(value, bool) and not value >= low:
                raise ValueError(f"{item.name} must be at least {low}, not {value!r}")
