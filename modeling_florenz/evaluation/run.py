"""Run a benchmark: predict what is missing, score, and write one file of results."""

import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from ..data.rows import Rows
from ..inference.evaluated import ContrastingModel, EvaluatedModel, LossModel, PivotModel, SearchProtocol
from ..resumable import write_json
from ..run_record import run_record
from .benchmarks import Benchmark, find_benchmark
from .metrics.clip_score import ClipScorer
from .metrics.comet import comet
from .metrics.segmentation import segmentation_name
from .predictions import keep_protocol, made_from, predict
from .scoring import Scores, Scoring


@dataclass(frozen=True)
class EvaluationOptions:
    """Describe how a model is evaluated, and where data and results are.

    Args:
        model: its name in the results.
        data: folder with a folder for each dataset.
        output: predictions go into `OUTPUT/BENCHMARK`, results into `OUTPUT/BENCHMARK.json`.
        protocol: how texts are searched for.
        languages: ISO 639-1 codes; empty for all that both the dataset and the model have.
        splits: of the benchmark; empty for all.
        limit: rows of each part, for trial runs.
        stand_in: show grey pictures where images are missing.
        batch_size: rows at a time.
        segmentation: of captions into words, instead of the benchmark's.
        losses: also measure the mean cross-entropy of the targets, unweighted over the rows.
        meteor: also measure METEOR of captions, with Java.
        comet: also measure COMET of translations, with unbabel-comet.
        clip: also scores captions against their images.
        revision: of the model.
    """

    model: str
    data: Path = Path("data")
    output: Path = Path("evaluation")
    protocol: SearchProtocol = SearchProtocol()
    languages: Sequence[str] = ()
    splits: Sequence[str] = ()
    limit: int | None = None
    stand_in: bool = False
    batch_size: int = 16
    segmentation: str | None = None
    losses: bool = False
    meteor: bool = False
    comet: bool = False
    clip: ClipScorer | None = None
    revision: str | None = None


def run_benchmark(name: str, model: EvaluatedModel, options: EvaluationOptions) -> dict[str, Any]:
    """Evaluate a model on a benchmark; what earlier runs predicted in the same folder is kept.

    Returns:
        the content of the results file.

    Raises:
        ValueError: the benchmark, its data, the model or the folder do not fit.
    """
    benchmark, protocol = find_benchmark(name), options.protocol
    if protocol.via:
        model = PivotModel(model)
    if options.losses and not isinstance(model, LossModel):
        way = " by way of English" if protocol.via else ""
        raise ValueError(f"{options.model}{way} has no cross-entropies: leave --loss out")
    languages = _languages(benchmark, model, options)
    parts = benchmark.parts(languages, options.splits, protocol.via)
    candidates = tuple(dict.fromkeys((*model.languages, *languages)))
    source = made_from(model, options.model, options.revision, protocol, options.stand_in)
    keep_protocol(options.output / name, source)
    loaded = {
        (split, language): benchmark.rows(options.data, split, language, options.limit, options.stand_in)
        for split, language in parts
    }
    start, count = time.perf_counter(), 0
    found: dict[str, list[Scores]] = {}
    for (split, language), rows in loaded.items():
        for kind in (*benchmark.kinds[split], *(["loss"] if options.losses else [])):
            if kind == "contrast" and not isinstance(model, ContrastingModel):
                continue
            path = options.output / name / f"{split}.{language}.{kind}.jsonl"
            predictions = predict(model, rows, path, protocol, options.batch_size, kind)
            count += len(predictions)
            scores = _score(benchmark, kind, rows, predictions, language, candidates, options)
            found.setdefault(f"{split}/{language}", []).append(scores)
    seconds = time.perf_counter() - start
    values = {part: _joined([scores.values for scores in kinds]) for part, kinds in found.items()}
    has_captions = any("caption" in benchmark.kinds[split] for split, _ in parts)
    segmentation = segmentation_name(options.segmentation or benchmark.segmentation)
    results = {
        "name": f"{options.model} on {name}",
        "label": "measured-here",
        "benchmark": name,
        "model": options.model,
        "revision": options.revision,
        "protocol": {
            **asdict(protocol),
            "segmentation": segmentation if has_captions else None,
            "language_candidates": list(candidates) if has_captions else None,
            "limit": options.limit,
            "stand_in_images": options.stand_in,
        },
        "made_from": source,
        "scores": values,
        "intervals": {part: _joined([scores.intervals for scores in kinds]) for part, kinds in found.items()},
        "signatures": {part: _joined([scores.signatures for scores in kinds]) for part, kinds in found.items()},
        "aggregate": benchmark.aggregate(values),
        "rows": {f"{split}/{language}": len(rows) for (split, language), rows in loaded.items()},
        "seconds": round(seconds, 1),
        "samples_per_second": round(count / seconds, 2),
        **run_record(),
    }
    write_json(options.output / f"{name}.json", results)
    return results


def markdown(results: dict[str, Any]) -> str:
    """Format the results of a run as a Markdown table: one row per part, then the means."""
    measures = list(dict.fromkeys(name for values in results["scores"].values() for name in values))
    rows = [f"| {results['benchmark']} | {' | '.join(measures)} |", "|---" * (len(measures) + 1) + "|"]
    for part, values in results["scores"].items():
        cells = []
        for name in measures:
            low_high = results["intervals"].get(part, {}).get(name)
            spread = f" ({low_high[0]:.1f} to {low_high[1]:.1f})" if low_high else ""
            cells.append(f"{values[name]:.1f}{spread}" if name in values else "")
        rows.append(f"| {part} | {' | '.join(cells)} |")
    rows += [
        f"| mean: {name} | {value:.1f} |{' |' * (len(measures) - 1)}" for name, value in results["aggregate"].items()
    ]
    return "\n".join(rows)


def _languages(benchmark: Benchmark, model: EvaluatedModel, options: EvaluationOptions) -> list[str]:
    known = benchmark.dataset.languages
    for language in options.languages:
        if language in known and not model.writes(language):
            raise ValueError(
                f"{options.model} cannot be asked for {language!r}, only for {', '.join(model.languages)}: give other "
                "languages, or an adapter that adds this one"
            )
    languages = list(options.languages) or [language for language in known if language in model.languages]
    if not languages:
        raise ValueError(
            f"{options.model} writes {', '.join(model.languages)}, and {benchmark.name} is in {', '.join(known)}: "
            "take another benchmark"
        )
    return languages


def _score(
    benchmark: Benchmark,
    kind: str,
    rows: Rows,
    predictions: Mapping[Hashable, dict[str, Any]],
    language: str,
    candidates: tuple[str, ...],
    options: EvaluationOptions,
) -> Scores:
    bare = rows.without_images()
    scoring = Scoring(
        language,
        options.segmentation or benchmark.segmentation,
        candidates,
        options.protocol.uses_prefix(bare[0]["task"], language),
        options.meteor,
    )
    scores = benchmark.score(kind, bare, predictions, scoring)
    texts = [str(predictions[row["key"]].get("text")) for row in bare]
    if options.comet and kind == "translation":
        each = comet([row["source"] for row in bare], texts, [row["target"] for row in bare])
        scores.values["comet"] = mean(each)
    if options.clip is not None and kind == "caption":
        each = [options.clip.score([rows[index]["image"]], [text])[0] for index, text in enumerate(texts)]
        scores.values["clipscore"] = mean(each)
    return scores


def _joined(kinds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: value for kind in kinds for name, value in kind.items()}
