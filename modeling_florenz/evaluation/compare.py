"""Decide whether two evaluated models really differ, by resampling the rows of their predictions."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..inference.evaluated import SearchProtocol
from ..resumable import JsonLines
from .benchmarks import Benchmark, find_benchmark
from .metrics.bootstrap import paired_difference
from .predictions import check_kept, keep_protocol, text_digest
from .scoring import Scores, Scoring


@dataclass(frozen=True)
class Difference:
    """Hold the difference, second model minus first, on one measure of one part, in points from 0 to 100.

    `low` and `high` bound the 95 % interval; with `p` below 0.05, the difference is called real.
    """

    part: str
    measure: str
    value: float
    low: float
    high: float
    p: float

    def __str__(self) -> str:
        verdict = "a real difference" if self.p < 0.05 else "no real difference"
        spread = f"({self.low:+.2f} to {self.high:+.2f}), p = {self.p:.3f}"
        return f"{self.part} {self.measure}: {self.value:+.2f} {spread}: {verdict}"


@dataclass(frozen=True)
class Comparison:
    """Hold the differences between two models on one benchmark."""

    benchmark: str
    first: str
    second: str
    differences: list[Difference]


def compare(first: Path, second: Path, data: Path) -> Iterator[Comparison]:
    """Compare what `florenz evaluate` wrote into two folders, benchmark by benchmark.

    Args:
        first, second: the folders.
        data: folder with a folder for each dataset.

    Raises:
        ValueError: the folders have no benchmark in common, or were not measured alike.
    """
    names = [path.name for path in sorted(first.glob("*.json")) if (second / path.name).exists()]
    if not names:
        raise ValueError(f"{first} and {second} have no results of one benchmark in common")
    for name in names:
        reports = [_read(folder / name) for folder in (first, second)]
        limits = [report["protocol"]["limit"] for report in reports]
        if limits[0] != limits[1]:
            raise ValueError(f"{name}: one was measured on {limits[0]} rows and the other not: run both alike")
        benchmark = find_benchmark(reports[0]["benchmark"])
        for folder, report in zip((first, second), reports, strict=True):
            keep_protocol(folder / benchmark.name, report["made_from"])
        differences = list(_differences(benchmark, (first, second), reports, data))
        if not differences:
            raise ValueError(f"{name}: the two have no part in common: run both on the same languages and splits")
        yield Comparison(benchmark.name, reports[0]["model"], reports[1]["model"], differences)


def _read(path: Path) -> dict[str, Any]:
    report = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(report, dict) or not {"benchmark", "protocol", "rows", "made_from"} <= set(report):
        raise ValueError(f"{path} is not a result of florenz evaluate: remove it from the folder")
    return report


def _differences(
    benchmark: Benchmark, folders: tuple[Path, Path], reports: list[dict[str, Any]], data: Path
) -> Iterator[Difference]:
    # A text is identified among the languages of both, so that the same text gets the same score.
    candidates = tuple(
        dict.fromkeys(code for report in reports for code in report["protocol"].get("language_candidates") or ())
    )
    for part in sorted(set(reports[0]["rows"]) & set(reports[1]["rows"])):
        split, language = part.split("/")
        settings = reports[0]["protocol"]
        rows = benchmark.rows(data, split, language, settings["limit"], settings["stand_in_images"]).without_images()
        methods = [
            report["signatures"].get(part, {}).get("segmentation", benchmark.segmentation) for report in reports
        ]
        if methods[0] != methods[1]:
            raise ValueError(
                f"{part} of {benchmark.name} was cut into words by {methods[0]} and by {methods[1]}: run both alike"
            )
        for path in sorted((folders[0] / benchmark.name).glob(f"{split}.{language}.*.jsonl")):
            paths = [folder / benchmark.name / path.name for folder in folders]
            if not paths[1].exists():
                continue
            kind = path.suffixes[-2].removeprefix(".")
            scores: list[Scores] = []
            for report, predicted in zip(reports, paths, strict=True):
                protocol = SearchProtocol(prefix=report["protocol"]["prefix"])
                prefix = protocol.uses_prefix(rows[0]["task"], language)
                predictions = JsonLines(predicted, "key").entries
                if missing := [row["key"] for row in rows if row["key"] not in predictions]:
                    raise ValueError(f"{predicted} lacks {missing[0]}: run florenz evaluate again to complete it")
                check_kept(predicted, predictions, {row["key"]: {"asked": text_digest(row, kind)} for row in rows})
                scoring = Scoring(language, methods[0], candidates, prefix)
                scores.append(benchmark.score(kind, rows, predictions, scoring))
            for measure, sampled in scores[0].sampled.items():
                value, (low, high), p = paired_difference(sampled, scores[1].sampled[measure], len(rows))
                yield Difference(part, measure, value, low, high, p)
