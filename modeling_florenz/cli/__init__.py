"""`florenz` on the command line. Exit codes: 0 done, 1 some inputs failed, 2 nothing could be done as asked."""

import argparse
import json
import math
import os
import sys
import warnings
from typing import Any, NoReturn

from huggingface_hub.utils import logging as hub_logging
from tqdm import tqdm
from transformers.utils import logging

from .. import __version__
from ..checkpoint.quantization import PRESETS
from ..data.images import find_images, open_image
from ..inference.captioner import Captioner
from ..processing_florenz import TASKS
from .card import add_commands as add_card_command
from .checkpoints import add_commands as add_checkpoint_commands
from .dataset import add_commands as add_dataset_command
from .evaluate import add_commands as add_evaluate_commands
from .hub import add_commands as add_hub_commands
from .space import add_commands as add_space_command
from .train import add_commands as add_train_command


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # One sentence; the usage is one --help away.
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _at_least_one(value: str) -> int:
    number = int(value)
    if number < 1:
        raise ValueError
    return number


_at_least_one.__name__ = "whole number of at least 1"


def _build_parser() -> _Parser:
    parser = _Parser(prog="florenz", description="Image captions and image-aware translation in six languages.")
    parser.add_argument("--version", action="version", version=f"florenz {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser, metavar="COMMAND")

    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--model", metavar="PATH_OR_REPO", help="Florenz folder or repository (default: florenz-tiny)")
    shared.add_argument("--revision", help="branch, tag or commit of the repository")
    shared.add_argument("--adapter", metavar="PATH_OR_REPO", help="LoRA adapter; it names its model itself")
    shared.add_argument("--quantize", choices=PRESETS, help="layers in fewer bits, for less memory")
    shared.add_argument("--json", action="store_true", help="one JSON object a line")
    beams = argparse.ArgumentParser(add_help=False)
    beams.add_argument("--beams", type=_at_least_one, default=4, help="beams of the search (default: 4)")

    caption = commands.add_parser("caption", parents=[shared, beams], help="caption images or folders of images")
    caption.add_argument("images", nargs="+", metavar="IMAGE")
    caption.add_argument("--language", default="en", help="ISO 639-1 code, or all (default: en)")
    caption.add_argument("--task", default="caption", choices=[task for task in TASKS if task != "translate"])
    caption.add_argument(
        "--prefix",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="start the decoder with the first words of a caption in that language; they are not printed",
    )
    caption.add_argument("--batch-size", type=_at_least_one, default=8)
    caption.set_defaults(run=_caption)

    translate = commands.add_parser("translate", parents=[shared, beams], help="translate English beside an image")
    translate.add_argument("image", metavar="IMAGE")
    translate.add_argument("--text", required=True, help="the English text")
    translate.add_argument("--language", required=True, help="ISO 639-1 code")
    translate.set_defaults(run=_translate)

    score = commands.add_parser("score", parents=[shared], help="tell which translation fits the image best")
    score.add_argument("image", metavar="IMAGE")
    score.add_argument("--text", required=True, help="the English text")
    score.add_argument("--language", required=True, help="ISO 639-1 code")
    score.add_argument("--candidate", action="append", required=True, help="a translation; give two or more")
    score.set_defaults(run=_score)
    add_train_command(commands)
    add_evaluate_commands(commands)
    add_checkpoint_commands(commands)
    add_hub_commands(commands)
    add_card_command(commands)
    add_dataset_command(commands)
    add_space_command(commands)
    return parser


def _print(as_json: bool, record: dict[str, Any], line: str) -> None:
    print(json.dumps(record, ensure_ascii=False) if as_json else line, flush=True)


def _captioner(arguments: argparse.Namespace) -> Captioner:
    return Captioner(arguments.model, arguments.revision, quantize=arguments.quantize, adapter=arguments.adapter)


def _caption(arguments: argparse.Namespace) -> int:
    captioner = _captioner(arguments)
    languages = captioner.languages if arguments.language == "all" else [arguments.language]
    for language in languages:
        captioner.processor.prompt(arguments.task, language)  # says what is wrong before any image is opened
    found = find_images(arguments.images)
    paths = found.images
    is_batch = len(arguments.images) > 1 or os.path.isdir(arguments.images[0])
    if not is_batch:
        open_image(paths[0])  # the only one: its failure is the command's
    if len(found.refused) == 1 and not paths and not found.passed_over:
        raise ValueError(found.refused[0])
    for reason in found.refused:
        print(f"florenz: skipped: {reason}", file=sys.stderr)
    for path in found.passed_over:
        print(f"florenz: passed over: {path} is of a kind that is not read: save it as JPEG or PNG", file=sys.stderr)
    done = 0
    with tqdm(total=len(paths), unit="image", disable=None if len(paths) > 1 else True) as bar:
        for start in range(0, len(paths), arguments.batch_size):
            batch = []
            for path in paths[start : start + arguments.batch_size]:
                try:
                    batch.append((path, open_image(path)))
                except ValueError as error:
                    bar.write(f"florenz: skipped: {error}", file=sys.stderr)
            images = [image for _, image in batch]
            rows = captioner.caption_languages(
                images, languages, arguments.task, arguments.prefix, arguments.beams, arguments.batch_size
            )
            for (path, _), row in zip(batch, rows, strict=True):
                for language, text in row.items():
                    record = {"image": str(path), "task": arguments.task, "language": language, "text": text}
                    line = f"{language}\t{text}"
                    _print(arguments.json, record, line if len(paths) == 1 else f"{path}\t{line}")
            done += len(batch)
            bar.update(min(arguments.batch_size, len(paths) - start))
    skipped = len(paths) - done + len(found.refused)
    if is_batch:
        counts = f"{done} done, {skipped} skipped, {len(found.passed_over)} passed over"
        print(f"florenz: {counts}", file=sys.stderr)
    return 0 if not skipped and done else 1 if done else 2


def _translate(arguments: argparse.Namespace) -> int:
    captioner = _captioner(arguments)
    [text] = captioner.translate([arguments.image], [arguments.text], arguments.language, arguments.beams)
    record = {"image": arguments.image, "language": arguments.language, "source": arguments.text, "text": text}
    _print(arguments.json, record, text)
    return 0


def _score(arguments: argparse.Namespace) -> int:
    captioner = _captioner(arguments)
    if len(arguments.candidate) < 2:
        raise ValueError("one candidate alone wins always: give --candidate at least twice")
    scores = captioner.score(arguments.image, arguments.text, arguments.language, arguments.candidate)
    best = min(score.perplexity for score in scores)
    winners = [score.text for score in scores if score.perplexity == best]
    for score in scores:
        record = {
            "candidate": score.text,
            "mean_log_probability": score.mean_log_probability,
            # JSON knows no infinity.
            "perplexity": score.perplexity if math.isfinite(score.perplexity) else None,
            "winner": winners == [score.text],
        }
        mark = "*" if record["winner"] else " "
        line = (
            f"{mark} {score.mean_log_probability:8.4f} nats/token  perplexity {score.perplexity:10.3f}  {score.text}"
        )
        _print(arguments.json, record, line)
    if len(winners) > 1:
        print("florenz: a tie, there is no winner", file=sys.stderr)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run a command; give the exit code."""
    arguments = _build_parser().parse_args(argv)
    # What the libraries print while loading is not about what was asked.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    hub_logging.set_verbosity_error()
    warnings.showwarning = lambda message, *rest, **more: print(f"florenz: {message}", file=sys.stderr)
    try:
        return arguments.run(arguments)
    except (ValueError, OSError) as error:
        sentence = " ".join(str(error).split()) or type(error).__name__
        print(f"florenz: {sentence}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
