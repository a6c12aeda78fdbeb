"""Name the benchmarks: their data, their parts, what is generated and how it is aggregated, as the paper has it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

from datasets import Dataset

from ..data.choices import check_choice
from ..data.coco_karpathy import load_coco_karpathy
from ..data.commute import load_commute
from ..data.docci import load_docci
from ..data.emoji_scenes.world import LANGUAGES, EmojiWorld
from ..data.image_paragraphs import load_image_paragraphs
from ..data.multi30k import load_multi30k_captions, load_multi30k_translation
from ..data.xm3600 import load_xm3600


Rows = Sequence[dict[str, Any]]
# Of the test scenes; training draws from other seeds.
SCENE_SEED = 2025


@dataclass(frozen=True)
class Benchmark:
    """Describe a benchmark; `kinds` says what is measured on each part: translation, caption, contrast, scene."""

    languages: tuple[str, ...]
    splits: tuple[str, ...]
    kinds: tuple[str, ...]
    segmentation: str = "ptb"
    headline: tuple[str, ...] = ()  # splits that the paper's mean is taken over; all if empty
    headline_languages: tuple[str, ...] = ()  # languages likewise


BENCHMARKS = {
    "multi30k_translation": Benchmark(
        ("de", "fr"),
        ("test_2016_flickr", "test_2017_flickr", "test_2018_flickr", "test_2017_mscoco"),
        ("translation",),
        headline=("test_2016_flickr", "test_2017_flickr", "test_2017_mscoco"),
    ),
    "multi30k_captioning": Benchmark(("en", "de"), ("test_2016",), ("caption",)),
    "commute": Benchmark(("de", "fr", "ru", "zh"), ("test",), ("translation", "contrast")),
    "xm3600": Benchmark(
        ("en", "de", "fr", "es", "ru", "zh"),
        ("test",),
        ("caption",),
        segmentation="words",
        headline_languages=("fr", "es", "ru", "zh"),
    ),
    "coco_karpathy": Benchmark(("en",), ("test",), ("caption",)),
    "docci": Benchmark(("en",), ("test",), ("caption",)),
    "image_paragraphs": Benchmark(("en",), ("test",), ("caption",)),
    "emoji_scenes": Benchmark(
        tuple(LANGUAGES),
        ("caption", "translate", "ambiguous"),
        ("scene",),
        headline_languages=("fr", "es", "ru", "zh"),
    ),
}


def load_part(name: str, folder: Path, split: str, language: str, stand_in: bool, limit: int | None) -> Rows:
    """Load one part of a benchmark, one split in one language.

    Args:
        folder: where the data set lies; emoji scenes need none.
        limit: take the first rows only, for trial runs.

    Raises:
        ValueError: the split or language is not part of it, or the data is missing or broken.
    """
    benchmark = BENCHMARKS[name]
    check_choice("split", split, benchmark.splits)
    check_choice("language", language, benchmark.languages)
    if name == "emoji_scenes":
        return _scenes(split, language, 1000 if limit is None else limit)
    if not folder.is_dir():
        raise ValueError(f"{name} needs the folder {folder}: put the data there, or name another with --data")
    load: Callable[..., Dataset] = {
        "multi30k_translation": partial(load_multi30k_translation, folder, split, language),
        "multi30k_captioning": partial(load_multi30k_captions, folder, split, language),
        "commute": partial(load_commute, folder, language, split),
        "xm3600": partial(load_xm3600, folder, language),
        "coco_karpathy": partial(load_coco_karpathy, folder, split),
        "docci": partial(load_docci, folder, split),
        "image_paragraphs": partial(load_image_paragraphs, folder, split),
    }[name]
    table = load(stand_in=stand_in)
    return table if limit is None else table.select(range(min(limit, len(table))))


def parts_of(name: str, languages: Sequence[str] | None, splits: Sequence[str] | None) -> list[tuple[str, str]]:
    """List the parts `(split, language)` of a benchmark, all or those asked for.

    Raises:
        ValueError: the benchmark, a split or a language is unknown.
    """
    check_choice("benchmark", name, BENCHMARKS)
    benchmark = BENCHMARKS[name]
    for language in languages or ():
        check_choice(f"language of {name}", language, benchmark.languages)
    for split in splits or ():
        check_choice(f"split of {name}", split, benchmark.splits)
    return [
        (split, language)
        for split in splits or benchmark.splits
        for language in languages or benchmark.languages
        # The world translates from English.
        if name != "emoji_scenes" or split == "caption" or language != "en"
    ]


def aggregate(name: str, scores: dict[str, dict[str, float]]) -> dict[str, float]:
    """Average the scores of the parts as the paper does.

    Args:
        scores: values by `split/language` and measure.

    Returns:
        for each measure its mean: of Multi30K over the splits without 2018, by language; of CoMMuTE over the
        languages; of XM3600 over French, Spanish, Russian and Chinese (spec section 6.4). A mean that lacks a part is
        left out.
    """
    benchmark = BENCHMARKS[name]
    splits = benchmark.headline or benchmark.splits
    languages = benchmark.headline_languages or benchmark.languages
    measures = sorted({measure for values in scores.values() for measure in values})
    means = {}
    if name == "multi30k_translation":
        for language in languages:
            for measure in measures:
                values = [scores.get(f"{split}/{language}", {}).get(measure) for split in splits]
                if None not in values:
                    means[f"{measure} {language}"] = mean(values)
        return means
    for split in splits:
        group = [language for language in languages if (split, language) in parts_of(name, None, None)]
        for measure in measures:
            values = [scores.get(f"{split}/{language}", {}).get(measure) for language in group]
            if values and None not in values:
                means[measure if len(splits) == 1 else f"{split} {measure}"] = mean(values)
    return means


def _scenes(split: str, language: str, count: int) -> Rows:
    world = EmojiWorld()
    if split == "ambiguous":
        rows = world.ambiguous_pairs(-(-count // 2), SCENE_SEED, language)[:count]
        return [
            {
                **row,
                "task": "translate",
                "target": row["correct"],
                "references": [row["correct"]],
                "key": f"{n}/{row['key']}",
            }
            for n, row in enumerate(rows)
        ]
    rows = []
    for index in range(count):
        scene = world.scene("test", index, SCENE_SEED)
        source = world.caption(scene, "en") if split == "translate" else None
        target = world.caption(scene, language)
        row = {"image": world.render(scene), "task": split, "language": language, "source": source, "target": target}
        rows.append({**row, "references": [target], "key": str(index), "scene": scene})
    return rows
