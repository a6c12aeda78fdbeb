"""Arguments that several commands share."""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from .lines import one_line, paint, print_line


if TYPE_CHECKING:
    from ..inference.captioner import Captioner


TASKS = ("caption", "detailed_caption", "more_detailed_caption")  # as in the processor, which imports torch
QUANTIZATIONS = ("int8", "int4")  # as in checkpoint.quantization, which imports torch
_TINY = "florenz: florenz-tiny knows emoji scenes and nothing else; see --model"
DTYPES = ("auto", "float32", "bfloat16")  # as in inference.captioner


class Parser(argparse.ArgumentParser):
    """Say in one sentence what does not fit; the usage is one `--help` away."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


class WideHelp(argparse.HelpFormatter):
    """Put the description of a command on the line of its name."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=16)
        self._action_max_length = 14  # argparse forgets that commands are indented once more


def at_least_one(value: str) -> int:
    """Read a whole number of at least 1."""
    number = int(value)
    if number < 1:
        raise ValueError
    return number


at_least_one.__name__ = "whole number of at least 1"  # argparse names it in its sentence


def _strength(value: str) -> float:
    number = float(value)
    if not 0 <= number < math.inf:
        raise ValueError
    return number


_strength.__name__ = "number from 0 on"  # argparse names it in its sentence


def add_weights(parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Add the arguments that name a model."""
    parser.add_argument("--model", metavar="PATH_OR_REPO", help="Florenz folder or repository (default: florenz-tiny)")
    parser.add_argument("--revision", help="branch, tag or commit of the repository")
    parser.add_argument("--adapter", metavar="PATH_OR_REPO", help="LoRA adapter; it names its model itself")
    parser.add_argument("--quantize", choices=QUANTIZATIONS, help="layers in fewer bits; int8 on a GPU only")
    parser.add_argument(
        "--dtype", choices=DTYPES, default="auto", help="of the weights (default: auto, the faster one)"
    )


def add_model(parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Add the arguments that name a model, and how its answers are made and printed."""
    add_weights(parser)
    add_guidance(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def add_guidance(parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Add the argument that weighs the image."""
    parser.add_argument(
        "--image-guidance",
        type=_strength,
        default=1.0,
        metavar="STRENGTH",
        help="how much the image counts: 0 not at all, 1 as trained, more to follow it further (default: 1)",
    )


def add_beams(parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Add the argument of the search."""
    parser.add_argument("--beams", type=at_least_one, default=4, help="beams of the search (default: 4)")


def load_captioner(arguments: argparse.Namespace) -> "Captioner":
    """Load the model that the arguments name."""
    from ..inference.captioner import Captioner

    tell_loading(arguments)
    return Captioner(**captioner_settings(arguments))


def tell_loading(arguments: argparse.Namespace) -> None:
    """Say in a terminal which model is loaded."""
    if sys.stderr.isatty():  # loading takes a while, and whoever looks should know of what
        name = arguments.adapter or arguments.model
        line = _TINY if name is None else f"florenz: loading {one_line(name)}"
        print_line(paint(line, "dim", sys.stderr), sys.stderr)


def captioner_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of the `Captioner` that these name."""
    return {
        "model": arguments.model,
        "revision": arguments.revision,
        "quantize": arguments.quantize,
        "adapter": arguments.adapter,
        "dtype": arguments.dtype,
        "image_guidance": arguments.image_guidance,
    }


def check_writable(output: Path) -> None:
    """Check that a file can be where `--output` says, before the work that it is to hold.

    Raises:
        ValueError: a folder is there, or a file is where its folder would be.
    """
    if output.is_dir():
        raise ValueError(f"--output is {output}, which is a folder: name a file in it")
    if files := [place for place in output.parents if place.is_file()]:
        raise ValueError(f"--output is in {files[0]}, and that is not a folder: give another name")


def read_languages(given: str, known: Sequence[str]) -> tuple[str, ...]:
    """Read codes with commas between them, or `all` for those that the model knows.

    Raises:
        ValueError: one is named twice.
    """
    languages = list(known) if given == "all" else given.split(",")
    if twice := [code for code in languages if languages.count(code) > 1]:
        raise ValueError(f"language {twice[0]} is asked for twice: name it once")
    return tuple(languages)


def print_record(arguments: argparse.Namespace, record: dict[str, Any], *columns: str) -> None:
    """Print one answer: the record as JSON, or columns with tabs between them."""
    *names, text = map(one_line, columns)
    line = "\t".join([*(paint(name, "dim", sys.stdout) for name in names), text])
    print_line(json.dumps(record, ensure_ascii=False) if arguments.json else line, sys.stdout)
