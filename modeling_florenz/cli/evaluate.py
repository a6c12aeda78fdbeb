"""The commands `florenz evaluate` and `florenz compare`."""

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any


_BENCHMARKS = (
    "multi30k_translation multi30k_captioning commute xm3600 coco_karpathy docci image_paragraphs emoji_scenes"
)


def _codes(value: str) -> list[str]:
    return [code.strip() for code in value.split(",") if code.strip()]


def _count(value: str) -> int:
    number = int(value)
    if number < 1:
        raise ValueError
    return number


_count.__name__ = "whole number of at least 1"


def add_commands(commands: Any) -> None:
    """Add both commands to the parser of `florenz`."""
    evaluate = commands.add_parser("evaluate", help="measure a model on a benchmark; run it again to go on")
    evaluate.add_argument(
        "model", metavar="MODEL", help="Florenz, another vision-language model, CAPTIONER+TRANSLATOR"
    )
    which = evaluate.add_mutually_exclusive_group(required=True)
    which.add_argument("--benchmark", choices=_BENCHMARKS.split())
    which.add_argument("--all", action="store_true", help="all benchmarks whose data is in the folder of --data")
    evaluate.add_argument("--revision", help="branch, tag or commit of the model")
    evaluate.add_argument("--adapter", metavar="PATH_OR_REPO", help="LoRA adapter on the model")
    evaluate.add_argument("--data", type=Path, default=Path("data"), help="folder with a folder for each data set")
    evaluate.add_argument("--languages", type=_codes, help="ISO 639-1 codes, such as de,fr (default: all)")
    evaluate.add_argument("--split", type=_codes, help="splits, with commas (default: all)")
    evaluate.add_argument("--prefix", choices=["auto", "on", "off"], default="off", help="auto: for fr, es, ru, zh")
    evaluate.add_argument("--image", choices=["on", "blank", "shuffled"], default="on", help="what the model is shown")
    evaluate.add_argument("--beams", type=_count, default=4)
    evaluate.add_argument("--max-new-tokens", type=_count, default=128)
    evaluate.add_argument("--no-repeat-ngram-size", type=int, default=3, help="0 to allow repetition (default: 3)")
    evaluate.add_argument("--image-size", type=_count, help="side of the input square in px")
    evaluate.add_argument("--segmentation", choices=["ptb", "words", "stanza"], help="of captions into words")
    evaluate.add_argument("--loss", action="store_true", help="also the cross-entropy of the targets")
    evaluate.add_argument("--meteor", action="store_true", help="also METEOR of captions; needs Java")
    evaluate.add_argument("--comet", action="store_true", help="also COMET of translations; needs unbabel-comet")
    evaluate.add_argument("--clipscore", metavar="CLIP", help="also CLIPScore of captions, by this CLIP model")
    evaluate.add_argument("--limit", type=_count, help="rows of each part, for a trial run")
    evaluate.add_argument("--stand-in", action="store_true", help="grey pictures where images are missing")
    evaluate.add_argument("--batch-size", type=_count, default=16)
    evaluate.add_argument("--output", type=Path, default=Path("evaluation"), help="folder (default: evaluation)")
    evaluate.set_defaults(run=_evaluate)

    compare = commands.add_parser("compare", help="tell whether two evaluated models really differ")
    compare.add_argument("first", type=Path, metavar="A", help="folder that florenz evaluate wrote")
    compare.add_argument("second", type=Path, metavar="B")
    compare.add_argument("--data", type=Path, default=Path("data"))
    compare.set_defaults(run=_compare)


def _evaluate(arguments: argparse.Namespace) -> int:
    from ..evaluation.benchmarks import parts_of
    from ..evaluation.metrics.clip_score import ClipScorer
    from ..evaluation.run import markdown, run_benchmark
    from ..inference.baselines import SearchProtocol, load_model

    names = _BENCHMARKS.split() if arguments.all else [arguments.benchmark]
    if arguments.all:
        names = [name for name in names if name == "emoji_scenes" or (arguments.data / _folder(name)).is_dir()]
    for name in names:
        if not arguments.all:
            parts_of(name, arguments.languages, arguments.split)  # what is wrong is said before a model is loaded
            if name != "emoji_scenes" and not (arguments.data / _folder(name)).is_dir():
                raise ValueError(f"{name} needs the folder {arguments.data / _folder(name)}: put the data there")
    protocol = SearchProtocol(
        num_beams=arguments.beams,
        max_new_tokens=arguments.max_new_tokens,
        no_repeat_ngram_size=arguments.no_repeat_ngram_size,
        prefix=arguments.prefix,
        image=arguments.image,
        image_size=arguments.image_size,
    )
    clip = None if arguments.clipscore is None else ClipScorer(arguments.clipscore)
    model = load_model(arguments.model, arguments.revision, arguments.adapter)
    label = arguments.model if arguments.adapter is None else f"{arguments.model} with {arguments.adapter}"
    for name in names:
        results = run_benchmark(
            name,
            model,
            label,
            arguments.data / _folder(name),
            arguments.output,
            protocol,
            arguments.languages,
            arguments.split,
            arguments.limit,
            arguments.stand_in,
            arguments.batch_size,
            arguments.segmentation,
            arguments.loss,
            arguments.meteor,
            arguments.comet,
            clip,
            arguments.revision,
            "florenz " + shlex.join(sys.argv[1:]),
        )
        print(markdown(results), flush=True)
    return 0


def _folder(name: str) -> str:
    return "multi30k" if name.startswith("multi30k") else name.removesuffix("_karpathy")


def _compare(arguments: argparse.Namespace) -> int:
    from ..evaluation.benchmarks import load_part
    from ..evaluation.metrics.bootstrap import paired_difference
    from ..evaluation.scoring import score_part
    from ..resumable import JsonLines

    shared = [path.name for path in sorted(arguments.first.glob("*.json")) if (arguments.second / path.name).exists()]
    if not shared:
        raise ValueError(f"{arguments.first} and {arguments.second} have no results of one benchmark in common")
    for file in shared:
        one, other = (
            json.loads((folder / file).read_text(encoding="utf-8")) for folder in (arguments.first, arguments.second)
        )
        if one["protocol"]["limit"] != other["protocol"]["limit"]:
            raise ValueError(
                f"{file}: one was measured on {one['protocol']['limit']} rows and the other not: run both alike"
            )
        name = one["benchmark"]
        print(f"{name}: {other['model']} against {one['model']}")
        for part in sorted(set(one["rows"]) & set(other["rows"])):
            split, language = part.split("/")
            limit, stand_in = one["protocol"]["limit"], one["protocol"]["stand_in_images"]
            rows = load_part(name, arguments.data / _folder(name), split, language, stand_in, limit)
            bare = list(rows.remove_columns("image")) if hasattr(rows, "remove_columns") else rows
            for path in sorted((arguments.first / name).glob(f"{split}.{language}.*.jsonl")):
                twin = arguments.second / name / path.name
                if not twin.exists():
                    continue
                scores = []
                for report, predictions in ((one, path), (other, twin)):
                    prefix = report["protocol"]["prefix"]
                    used = prefix == "on" or (prefix == "auto" and language in ("fr", "es", "ru", "zh"))
                    entries = JsonLines(predictions, "key").entries
                    scores.append(
                        score_part(name, split, language, bare, entries, used and bare[0]["task"] != "translate", None)
                    )
                for measure in scores[0].sampled:
                    first, second = (score.sampled[measure] for score in scores)
                    difference, (low, high), p = paired_difference(first, second, len(bare))
                    verdict = "a real difference" if p < 0.05 else "no real difference"
                    print(f"  {part} {measure}: {difference:+.2f} ({low:+.2f} to {high:+.2f}), p = {p:.3f}: {verdict}")
    return 0
