"""Run a benchmark: predict what is missing, score, and write one file of results."""

import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import Any

import torch
import transformers

from .. import __version__
from ..inference.baselines import EvaluatedModel, SearchProtocol
from ..resumable import write_json
from .benchmarks import BENCHMARKS, aggregate, load_part, parts_of
from .metrics.clip_score import ClipScorer
from .metrics.comet import comet
from .metrics.segmentation import segmentation_name
from .predictions import keep_protocol, predict
from .scoring import Scores, score_part


def run_benchmark(
    name: str,
    model: EvaluatedModel,
    model_name: str,
    folder: Path,
    output: Path,
    protocol: SearchProtocol,
    languages: Sequence[str] | None = None,
    splits: Sequence[str] | None = None,
    limit: int | None = None,
    stand_in: bool = False,
    batch_size: int = 16,
    segmentation: str | None = None,
    losses: bool = False,
    with_meteor: bool = False,
    with_comet: bool = False,
    clip: ClipScorer | None = None,
    revision: str | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Evaluate a model on a benchmark; what earlier runs predicted in the same folder is kept.

    Args:
        folder: of the data.
        output: predictions go into `OUTPUT/NAME`, results into `OUTPUT/NAME.json`.
        limit: rows of each part, for trial runs.
        stand_in: grey pictures where images are missing.
        losses: also the mean cross-entropy of the targets, unweighted over the rows.
        with_meteor: also METEOR of captions, by Java.
        with_comet: also COMET of translations, by unbabel-comet.
        clip: scores captions against the images as well.

    Returns:
        the content of the results file.

    Raises:
        ValueError: the benchmark, its data, the model or the folder do not fit.
    """
    parts = parts_of(name, languages, splits)
    keep_protocol(output / name, model_name, revision, protocol)
    loaded = {part: load_part(name, folder, *part, stand_in, limit) for part in parts}
    start, count = time.perf_counter(), 0
    found: dict[str, dict[str, Scores]] = {}
    for (split, language), rows in loaded.items():
        part = f"{split}/{language}"
        kinds = BENCHMARKS[name].kinds
        if name == "emoji_scenes":
            kinds = ("contrast",) if split == "ambiguous" else ("scene",)
        for kind in (*kinds, *(["loss"] if losses else [])):
            if kind == "contrast" and not hasattr(model, "perplexities"):
                continue
            if kind == "loss" and not hasattr(model, "losses"):
                raise ValueError(f"{model_name} gives no cross-entropies: leave --loss out")
            path = output / name / f"{split}.{language}.{kind}.jsonl"
            entries = predict(model, rows, path, protocol, batch_size, kind)
            count += len(entries)
            bare = list(rows.remove_columns("image")) if hasattr(rows, "remove_columns") else rows
            prefix = protocol.uses_prefix(bare[0]["task"], language)
            scores = score_part(name, split, language, bare, entries, prefix, segmentation, with_meteor)
            texts = [entries[row["key"]].get("text") for row in bare]
            if with_comet and kind == "translation":
                each = comet([row["source"] for row in bare], texts, [row["target"] for row in bare])
                scores.values["comet"] = mean(each)
            if clip is not None and kind == "caption":
                pairs = zip(rows, texts, strict=True)
                scores.values["clipscore"] = mean(clip.score([row["image"]], [text])[0] for row, text in pairs)
            found.setdefault(part, {})[kind] = scores
    seconds = time.perf_counter() - start
    values = {
        part: {k: v for scores in kinds.values() for k, v in scores.values.items()} for part, kinds in found.items()
    }
    method = segmentation or BENCHMARKS[name].segmentation
    results = {
        "name": f"{model_name} on {name}",
        "label": "measured-here",
        "benchmark": name,
        "model": model_name,
        "revision": revision,
        "protocol": {
            **asdict(protocol),
            "segmentation": segmentation_name(method) if "caption" in BENCHMARKS[name].kinds else None,
            "limit": limit,
            "stand_in_images": stand_in,
        },
        "scores": values,
        "intervals": {
            part: {k: v for scores in kinds.values() for k, v in scores.intervals.items()}
            for part, kinds in found.items()
        },
        "signatures": {
            part: {k: v for scores in kinds.values() for k, v in scores.signatures.items()}
            for part, kinds in found.items()
        },
        "aggregate": aggregate(name, values),
        "rows": {f"{split}/{language}": len(rows) for (split, language), rows in loaded.items()},
        "seconds": round(seconds, 1),
        "samples_per_second": round(count / seconds, 2),
        "versions": {
            "modeling_florenz": __version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "hardware": torch.cuda.get_device_name() if torch.cuda.is_available() else f"{platform.machine()} CPU",
        "git_commit": git_commit(),
        "command": command,
    }
    write_json(output / f"{name}.json", results)
    return results


def markdown(results: dict[str, Any]) -> str:
    """Lay the results of a run out as a Markdown table: a row a part, then the means."""
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


def git_commit() -> str | None:
    """Give the commit of the clone that runs, if it is one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
