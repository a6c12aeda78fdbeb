"""Define what is measured on which dataset, and how it is averaged, as in the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from ..data.choices import check_choice
from ..data.dataset_info import DatasetInfo, Part
from ..data.datasets import DATASETS, check_renamed
from ..data.rows import Rows


if TYPE_CHECKING:
    from .scoring import Scores, Scoring

Scored = Mapping[str, Mapping[str, float]]  # values by `split/language` and measure


@dataclass(frozen=True)
class Benchmark:
    """Describe a benchmark.

    Args:
        dataset: of its rows.
        kinds: what is measured on each split: `translation`, `caption`, `contrast`, `scene`, `exact`.
        segmentation: of captions into words, unless another is asked for.
        averaged_splits: splits in the paper's mean; all if empty.
        averaged_languages: languages in the paper's mean; all if empty.
        on_request: splits that are measured only if they are named.
        mean_by_language: average the splits of each language, instead of the languages of each split.
    """

    dataset: DatasetInfo
    kinds: Mapping[str, tuple[str, ...]]
    segmentation: str = "ptb"
    averaged_splits: tuple[str, ...] = ()
    averaged_languages: tuple[str, ...] = ()
    on_request: tuple[str, ...] = ()
    mean_by_language: bool = False

    @property
    def name(self) -> str:
        """Return the name, that of the dataset."""
        return self.dataset.name

    @property
    def splits(self) -> tuple[str, ...]:
        """Return the splits that can be measured."""
        return tuple(self.kinds)

    def captions(self, split: str) -> bool:
        """Return whether the texts of a split are captions, not translations."""
        return "caption" in self.kinds[split] or split.endswith("caption")

    def parts(
        self, languages: Sequence[str] = (), splits: Sequence[str] = (), via: str | None = None
    ) -> list[tuple[str, str]]:
        """List the parts `(split, language)`, all or those asked for.

        Args:
            languages, splits: those to list; if empty, all languages and all splits but those `on_request`.
            via: only captions in other languages than this one, in which they are written first.

        Raises:
            ValueError: a split or language is unknown or cannot be asked for, or there is no such part.
        """
        for language in languages:
            check_choice(f"language of {self.name}", language, self.dataset.languages)
        for split in splits:
            check_choice(f"split of {self.name}", split, self.kinds)
            if via and not self.captions(split):
                raise ValueError(f"{split} of {self.name} holds no captions: leave via out, or take another split")
        if via and via in languages:
            raise ValueError(f"captions in {via} do not go by way of {via}: leave via out, or take other languages")
        parts = [
            (split, language)
            for split in dict.fromkeys(splits or [split for split in self.splits if split not in self.on_request])
            for language in dict.fromkeys(languages or self.dataset.languages)
            if language in self.dataset.splits[split]
            if not via or (self.captions(split) and language != via)
        ]
        if not parts and via:
            raise ValueError(f"{self.name} has no captions in languages other than {via}: leave via out")
        if not parts:
            raise ValueError(
                f"{', '.join(splits)} of {self.name} is not in {', '.join(languages)}: give other splits or languages"
            )
        return parts

    def data_folder(self, data: Path) -> Path:
        """Return where the dataset is in the folder of all data."""
        return data / self.dataset.folder

    def is_in(self, data: Path) -> bool:
        """Return whether the dataset is in the folder of all data, or needs no folder."""
        return not self.dataset.folder or self.data_folder(data).is_dir()

    def check(
        self, data: Path, languages: Sequence[str] = (), splits: Sequence[str] = (), via: str | None = None
    ) -> None:
        """Check that the parts exist, and that the dataset is in the folder of all data.

        Raises:
            ValueError: one of them does not exist.
        """
        self.parts(languages, splits, via)
        if not self.is_in(data):
            folder = self.data_folder(data)
            raise ValueError(f"{self.name} needs the folder {folder}: put the data there, or name another with --data")

    def rows(self, data: Path, split: str, language: str, limit: int | None = None, stand_in: bool = False) -> Rows:
        """Load one part.

        Args:
            data: folder with a folder for each dataset.
            split, language: one of `parts`.
            limit: take the first rows only, for trial runs.
            stand_in: show grey pictures where images are missing.

        Raises:
            ValueError: the split or language is not part of it, or the data is missing or broken.
        """
        part = Part(split, language, self.data_folder(data), examples=limit or 0, stand_in=stand_in)
        return self.dataset.load(part)

    def aggregate(self, scores: Scored) -> dict[str, float]:
        """Average the scores of the parts as the paper does.

        Returns:
            for each measure its mean: of Multi30K over the splits without 2018, by language; of CoMMuTE over the
            languages; of XM3600 over French, Spanish, Russian and Chinese. A mean that lacks a part is left
            out.
        """
        splits = self.averaged_splits or self.splits
        languages = self.averaged_languages or self.dataset.languages
        if self.mean_by_language:
            groups = {f"{{}} {language}": [(split, language) for split in splits] for language in languages}
        else:
            groups = {
                "{}" if len(splits) == 1 else f"{split} {{}}": [
                    (split, language) for language in languages if language in self.dataset.splits[split]
                ]
                for split in splits
            }
        measures = sorted({measure for values in scores.values() for measure in values})
        means = {}
        for name, parts in groups.items():
            for measure in measures:
                values = [scores.get(f"{split}/{language}", {}).get(measure) for split, language in parts]
                found = [value for value in values if value is not None]
                if found and len(found) == len(values):
                    means[name.format(measure)] = mean(found)
        return means

    def score(
        self, kind: str, rows: Sequence[dict[str, Any]], predictions: Mapping[Any, Any], scoring: Scoring
    ) -> Scores:
        """Score the predictions of one kind for the rows of one part; see [`~modeling_florenz.evaluation.scoring`]."""
        # Scoring needs libraries that the list of benchmarks does not.
        from .scoring import score

        return score(kind, rows, predictions, scoring)


_UNSEEN = ("fr", "es", "ru", "zh")  # languages without captions in the paper's pre-training
BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark(
            DATASETS["multi30k_translation"],
            kinds=dict.fromkeys(
                ("test_2016_flickr", "test_2017_flickr", "test_2018_flickr", "test_2017_mscoco"), ("translation",)
            ),
            averaged_splits=("test_2016_flickr", "test_2017_flickr", "test_2017_mscoco"),
            mean_by_language=True,
        ),
        Benchmark(DATASETS["multi30k_captions"], kinds={"test_2016": ("caption",)}),
        Benchmark(DATASETS["commute"], kinds={"test": ("translation", "contrast")}),
        Benchmark(
            DATASETS["xm3600"],
            kinds={"test": ("caption",)},
            segmentation="words",
            averaged_languages=_UNSEEN,
        ),
        Benchmark(DATASETS["coco_karpathy"], kinds={"test": ("caption",)}),
        Benchmark(DATASETS["docci"], kinds={"test": ("caption",)}),
        Benchmark(DATASETS["image_paragraphs"], kinds={"test": ("caption",)}),
        Benchmark(
            DATASETS["emoji_scenes"],
            kinds={
                "caption": ("scene",),
                "detailed_caption": ("exact",),
                "translate": ("scene",),
                "translate_detailed": ("exact",),
                "ambiguous": ("contrast",),
            },
            averaged_languages=_UNSEEN,
            on_request=("detailed_caption", "translate_detailed"),
        ),
    )
}


def find_benchmark(name: str) -> Benchmark:
    """Return a benchmark by its name.

    Raises:
        ValueError: there is none, or it has another name now.
    """
    check_renamed(name)
    check_choice("benchmark", name, BENCHMARKS)
    return BENCHMARKS[name]


def select_benchmarks(
    data: Path, languages: Sequence[str] = (), splits: Sequence[str] = (), via: str | None = None
) -> dict[str, tuple[list[str], list[str]]]:
    """Return, by name, the benchmarks whose data is there, each with those of the languages and splits that it has.

    Args:
        data: folder with a folder for each dataset.
        languages, splits, via: as for [`Benchmark.parts`].

    Raises:
        ValueError: a language or split is in no benchmark, or nothing is left.
    """
    every = BENCHMARKS.values()
    for language in languages:
        check_choice("language", language, dict.fromkeys(code for one in every for code in one.dataset.languages))
    for split in splits:
        check_choice("split", split, dict.fromkeys(split for one in every for split in one.splits))
    selected = {}
    for benchmark in every:
        known_languages = [language for language in languages if language in benchmark.dataset.languages]
        known_splits = [split for split in splits if split in benchmark.splits]
        if (languages and not known_languages) or (splits and not known_splits) or not benchmark.is_in(data):
            continue
        try:
            benchmark.parts(known_languages, known_splits, via)
        except ValueError:
            continue
        selected[benchmark.name] = known_languages, known_splits
    if not selected:
        raise ValueError(f"no benchmark in {data} has what was asked for: name one with --benchmark to see why")
    return selected
