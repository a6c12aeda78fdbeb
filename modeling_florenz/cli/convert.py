"""The command `florenz convert`."""

import argparse
import dataclasses
from typing import Any

from .writing import add_writing, make_processor, torch_dtype, write_folder


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    convert = commands.add_parser("convert", help="turn a checkpoint of the research code into a Florenz folder")
    convert.add_argument("source", metavar="SRC", help="folder or repository")
    convert.add_argument("--revision", help="branch, tag or commit of the repository")
    convert.add_argument("--florence-processor", metavar="PATH_OR_REPO", default="microsoft/Florence-2-large")
    convert.add_argument("--gemma-tokenizer", metavar="PATH_OR_REPO", default="google/gemma-2-2b")
    add_writing(convert)
    convert.set_defaults(run=_convert)


def _convert(arguments: argparse.Namespace) -> int:
    from ..checkpoint.conversion import paper_generation, plan_conversion
    from ..checkpoint.model_folder import size_of
    from ..checkpoint.sources import read_json, resolve_source

    source = resolve_source(arguments.source, arguments.revision)
    config, tensors = plan_conversion(source)
    if arguments.dtype:
        tensors = [dataclasses.replace(tensor, dtype=torch_dtype(arguments.dtype)) for tensor in tensors]
    generation = paper_generation(read_json(source / "config.json"), config)
    processor = None
    if not arguments.no_processor:
        processor = make_processor(arguments.florence_processor, arguments.gemma_tokenizer)
    name = " ".join(filter(None, ["Florenz", size_of(config)]))
    origin = f"{name}, converted from a checkpoint of the paper's research code."
    return write_folder(arguments, config, tensors, generation, processor, origin, [source])
