"""The commands `florenz evaluate` and `florenz compare`."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..data.datasets import check_renamed
from ..evaluation.benchmarks import BENCHMARKS


def _benchmark(value: str) -> str:
    try:
        check_renamed(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return value


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
    evaluate = commands.add_parser("evaluate", help="measure a model on a benchmark; run it again to continue")
    evaluate.add_argument(
        "model", metavar="MODEL", help="Florenz, another vision-language model, CAPTIONER+TRANSLATOR"
    )
    which = evaluate.add_mutually_exclusive_group(required=True)
    which.add_argument("--benchmark", type=_benchmark, choices=list(BENCHMARKS))
    which.add_argument("--all", action="store_true", help="all benchmarks whose data is in the folder of --data")
    evaluate.add_argument("--revision", help="branch, tag or commit of the model")
    evaluate.add_argument("--adapter", metavar="PATH_OR_REPO", help="LoRA adapter on the model")
    evaluate.add_argument("--data", type=Path, default=Path("data"), help="folder with a folder for each dataset")
    evaluate.add_argument(
        "--languages",
        type=_codes,
        default=[],
        help="ISO 639-1 codes, such as de,fr (default: all that the model and the data have)",
    )
    evaluate.add_argument("--split", type=_codes, default=[], help="splits, with commas (default: all)")
    evaluate.add_argument("--prefix", choices=["auto", "on", "off"], default="off", help="auto: not for en and de")
    evaluate.add_argument(
        "--via", metavar="LANGUAGE", help="en: caption in English, then translate that beside the image"
    )
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

    compare = commands.add_parser("compare", help="test whether two evaluated models really differ")
    compare.add_argument("first", type=Path, metavar="A", help="folder that florenz evaluate wrote")
    compare.add_argument("second", type=Path, metavar="B")
    compare.add_argument("--data", type=Path, default=Path("data"))
    compare.set_defaults(run=_compare)


def _evaluate(arguments: argparse.Namespace) -> int:
    from ..evaluation.benchmarks import find_benchmark, select_benchmarks
    from ..evaluation.metrics.clip_score import ClipScorer
    from ..evaluation.run import EvaluationOptions, markdown, run_benchmark
    from ..inference.baselines import load_model
    from ..inference.evaluated import SearchProtocol

    protocol = SearchProtocol(
        num_beams=arguments.beams,
        max_new_tokens=arguments.max_new_tokens,
        no_repeat_ngram_size=arguments.no_repeat_ngram_size,
        prefix=arguments.prefix,
        image=arguments.image,
        image_size=arguments.image_size,
        via=arguments.via,
    )
    # Errors are reported before a model is loaded.
    asked = (arguments.languages, arguments.split)
    if arguments.all:
        selected = select_benchmarks(arguments.data, *asked, arguments.via)
    else:
        find_benchmark(arguments.benchmark).check(arguments.data, *asked, arguments.via)
        selected = {arguments.benchmark: asked}
    options = EvaluationOptions(
        model=arguments.model if arguments.adapter is None else f"{arguments.model} with {arguments.adapter}",
        data=arguments.data,
        output=arguments.output,
        protocol=protocol,
        limit=arguments.limit,
        stand_in=arguments.stand_in,
        batch_size=arguments.batch_size,
        segmentation=arguments.segmentation,
        losses=arguments.loss,
        meteor=arguments.meteor,
        comet=arguments.comet,
        clip=None if arguments.clipscore is None else ClipScorer(arguments.clipscore),
        revision=arguments.revision,
    )
    model = load_model(arguments.model, arguments.revision, arguments.adapter)
    for name, (languages, splits) in selected.items():
        results = run_benchmark(name, model, replace(options, languages=languages, splits=splits))
        print(markdown(results), flush=True)
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    from ..evaluation.compare import compare

    for comparison in compare(arguments.first, arguments.second, arguments.data):
        print(f"{comparison.benchmark}: {comparison.second} against {comparison.first}")
        for difference in comparison.differences:
            print(f"  {difference}")
    return 0
