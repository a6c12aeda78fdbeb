"""The one table of datasets: recipes, evaluation, trial runs, cards and the command line read it.

Nothing heavy is imported before rows are loaded, so that the command line can list names at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from . import samples
from .choices import check_choice
from .dataset_info import DatasetInfo, Part


if TYPE_CHECKING:
    from datasets import Dataset

    from .rows import Rows


_SCENE_LANGUAGES = ("en", "de", "fr", "es", "ru", "zh", "it")
# Without fil and quz, which have no ISO 639-1 code.
_XM3600_LANGUAGES = (
    "ar bn cs da de el en es fa fi fr he hi hr hu id it ja ko mi nl no pl pt ro ru sv sw te th tr uk vi zh".split()
)
# Names of earlier versions.
_RENAMED = {"multi30k_captioning": "multi30k_captions"}


def check_renamed(name: str) -> None:
    """Refuse the name that a dataset had in earlier versions.

    Raises:
        ValueError: with the name that it has now.
    """
    if name in _RENAMED:
        raise ValueError(f"{name} is called {_RENAMED[name]}: use that name")


def find_dataset(name: str) -> DatasetInfo:
    """Return a dataset by its name.

    Raises:
        ValueError: there is none, or it has another name now.
    """
    check_renamed(name)
    check_choice("dataset", name, DATASETS)
    return DATASETS[name]


def _as_rows(load: Callable[[Part], Dataset]) -> Callable[[Part], Rows]:
    """Make a loader of tables one of rows: the first ones, which say what is hidden of their sources."""

    def loader(part: Part) -> Rows:
        from .rows import TableRows

        table = load(part)
        if part.examples:
            table = table.select(range(min(part.examples, len(table))))
        hides = part.hiding.mode != "none" or part.hidden_sources
        return TableRows(table, {"hiding": part.hiding, "hidden_sources": part.hidden_sources} if hides else {})

    return loader


@_as_rows
def _multi30k_translation(part: Part) -> Dataset:
    from .multi30k import load_multi30k_translation

    return load_multi30k_translation(part.folder, part.split, part.language, part.stand_in)


@_as_rows
def _multi30k_captions(part: Part) -> Dataset:
    from .multi30k import load_multi30k_captions

    return load_multi30k_captions(part.folder, part.split, part.language, part.stand_in)


@_as_rows
def _commute(part: Part) -> Dataset:
    from .commute import load_commute

    return load_commute(part.folder, part.language, part.split, part.stand_in)


@_as_rows
def _xm3600(part: Part) -> Dataset:
    from .xm3600 import load_xm3600

    return load_xm3600(part.folder, part.language, part.stand_in)


@_as_rows
def _coco_karpathy(part: Part) -> Dataset:
    from .coco_karpathy import load_coco_karpathy

    excluded = part.excluded if part.split == "train" else ()
    return load_coco_karpathy(part.folder, part.split, excluded, part.stand_in)


@_as_rows
def _docci(part: Part) -> Dataset:
    from .docci import load_docci

    return load_docci(part.folder, part.split, part.stand_in)


@_as_rows
def _image_paragraphs(part: Part) -> Dataset:
    from .image_paragraphs import load_image_paragraphs

    return load_image_paragraphs(part.folder, part.split, part.stand_in)


@_as_rows
def _folder(part: Part) -> Dataset:
    from .folder import load_folder

    return load_folder(part.folder, part.task, part.language, part.stand_in)


def _hub(part: Part) -> Rows:
    from .hub import load_hub

    return load_hub(part)


def _unlabelled(part: Part) -> Rows:
    from .unlabelled import load_unlabelled

    return load_unlabelled(part.folder, part.language, part.examples)


def _emoji_scenes(part: Part) -> Rows:
    from .emoji_scenes.rows import load_emoji_scenes

    return load_emoji_scenes(part)


_TRANSLATED = tuple(language for language in _SCENE_LANGUAGES if language != "en")
DATASETS = {
    dataset.name: dataset
    for dataset in (
        DatasetInfo(
            name="multi30k_translation",
            tasks=("translate",),
            splits={
                "train": dict.fromkeys(("de", "fr"), 29_000),
                "val": dict.fromkeys(("de", "fr"), 1_014),
                "test_2016_flickr": dict.fromkeys(("de", "fr"), 1_000),
                "test_2017_flickr": dict.fromkeys(("de", "fr"), 1_000),
                "test_2018_flickr": dict.fromkeys(("de", "fr"), 1_071),
                "test_2017_mscoco": dict.fromkeys(("de", "fr"), 461),
            },
            folder="multi30k",
            loader=_multi30k_translation,
            sample_writer=samples.write_multi30k,
        ),
        DatasetInfo(
            name="multi30k_captions",
            tasks=("caption",),
            # There is an image list test_2017 too, but no text for it: it is the translations' list of 2018.
            splits={
                "train": dict.fromkeys(("en", "de"), 29_000),
                "val": dict.fromkeys(("en", "de"), 1_014),
                "test_2016": dict.fromkeys(("en", "de"), 1_000),
            },
            folder="multi30k",
            loader=_multi30k_captions,
            sample_writer=samples.write_multi30k,
        ),
        DatasetInfo(
            name="commute",
            tasks=("translate",),
            splits={
                "test": {"de": 300, "fr": 308, "ru": 324, "zh": 324},
                "dev": {"fr": 60},
            },
            folder="commute",
            loader=_commute,
            sample_writer=samples.write_commute,
        ),
        DatasetInfo(
            name="xm3600",
            tasks=("caption",),
            splits={"test": dict.fromkeys(_XM3600_LANGUAGES, 3_600)},
            folder="xm3600",
            loader=_xm3600,
            sample_writer=samples.write_xm3600,
        ),
        DatasetInfo(
            name="coco_karpathy",
            tasks=("caption",),
            # What Karpathy calls restval joins train, as everywhere.
            splits={
                "train": {"en": 113_287},
                "val": {"en": 5_000},
                "test": {"en": 5_000},
            },
            folder="coco",
            loader=_coco_karpathy,
            sample_writer=samples.write_coco_karpathy,
        ),
        DatasetInfo(
            name="docci",
            tasks=("more_detailed_caption",),
            splits={
                "train": {"en": 9_647},
                "test": {"en": 5_000},
                "qual_dev": {"en": 100},
                "qual_test": {"en": 100},
            },
            folder="docci",
            loader=_docci,
            sample_writer=samples.write_docci,
        ),
        DatasetInfo(
            name="image_paragraphs",
            tasks=("detailed_caption",),
            splits={
                "train": {"en": 14_575},
                "val": {"en": 2_487},
                "test": {"en": 2_489},
            },
            folder="image_paragraphs",
            loader=_image_paragraphs,
            sample_writer=samples.write_image_paragraphs,
        ),
        DatasetInfo(
            name="folder",
            tasks=("caption", "detailed_caption", "more_detailed_caption", "translate"),
            splits={},
            folder="",
            loader=_folder,
            sample_writer=samples.write_folder,
        ),
        DatasetInfo(
            name="hub",
            tasks=("caption", "detailed_caption", "more_detailed_caption", "translate"),
            splits={},
            folder="",
            loader=_hub,
            sample_writer=None,
        ),
        DatasetInfo(
            name="unlabelled",
            tasks=("caption",),
            splits={},
            folder="",
            loader=_unlabelled,
            sample_writer=samples.write_unlabelled,
        ),
        DatasetInfo(
            name="emoji_scenes",
            tasks=("caption", "detailed_caption", "translate"),
            # All but train are held out: what is asked of the test scenes, each of 1,000 of them.
            splits={
                "train": dict.fromkeys(_SCENE_LANGUAGES, 0),
                "caption": dict.fromkeys(_SCENE_LANGUAGES, 1_000),
                "detailed_caption": dict.fromkeys(_SCENE_LANGUAGES, 1_000),
                "translate": dict.fromkeys(_TRANSLATED, 1_000),
                "translate_detailed": dict.fromkeys(_TRANSLATED, 1_000),
                "ambiguous": dict.fromkeys(_TRANSLATED, 1_000),
            },
            folder="",
            loader=_emoji_scenes,
            sample_writer=None,
        ),
    )
}
