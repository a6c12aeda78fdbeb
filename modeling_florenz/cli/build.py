"""The command `florenz build`."""

import argparse
from typing import Any

from .writing import add_writing, make_processor, torch_dtype, write_folder


SIZES = ("0.4b", "1.0b", "3.5b", "11.2b")  # as in sizes.py, which imports transformers


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    build = commands.add_parser("build", help="compose an untrained Florenz from Florence-2 and Gemma-2")
    build.add_argument("--size", required=True, choices=SIZES)
    build.add_argument("--florence", required=True, metavar="PATH_OR_REPO", help="Florence-2, old or native layout")
    build.add_argument("--gemma", required=True, metavar="PATH_OR_REPO", help="Gemma-2; 0.4b, 1.0b: its tokenizer")
    build.add_argument("--seed", type=int, default=0, help="of the new weights (default: 0)")
    add_writing(build)
    build.set_defaults(run=_build)


def _build(arguments: argparse.Namespace) -> int:
    from ..checkpoint.composition import plan_composition
    from ..checkpoint.conversion import generation_settings
    from ..checkpoint.sources import resolve_source
    from ..sizes import config_from_size

    config = config_from_size(arguments.size)
    florence = resolve_source(arguments.florence)
    gemma = resolve_source(arguments.gemma, weights=config.text_config.model_type == "gemma2")
    tensors = plan_composition(config, florence, gemma, torch_dtype(arguments.dtype or "fp32"), arguments.seed)
    processor = None if arguments.no_processor else make_processor(florence, gemma)
    # Of the Gemma-2 of a small Florenz nothing but the tokenizer is used.
    sources = [florence, gemma] if config.text_config.model_type == "gemma2" else [florence]
    origin = (
        f"An untrained Florenz {arguments.size}, composed from Florence-2 and Gemma 2: train it before captioning."
    )
    return write_folder(arguments, config, tensors, generation_settings(config), processor, origin, sources)
