"""The commands that make and describe model folders: `florenz build`, `florenz convert`, `florenz inspect`."""

import argparse
import dataclasses
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import torch

from ..checkpoint.conversion import generation_settings, paper_generation, plan_conversion
from ..checkpoint.inspection import inspect_checkpoint
from ..checkpoint.model_folder import size_of, write_model_folder
from ..checkpoint.sources import read_json, resolve_source
from ..configuration_florenz import FlorenzConfig
from ..processing_florenz import FlorenzProcessor
from ..sizes import SIZES, config_from_size


DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_UNITS = {"MB": 10**6, "GB": 10**9}


def _bytes(value: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(MB|GB)", value.strip(), re.IGNORECASE)
    if not match or not (count := int(float(match[1]) * _UNITS[match[2].upper()])):
        raise ValueError
    return count


_bytes.__name__ = "size such as 5GB or 500MB"


def add_commands(commands: Any) -> None:
    """Add the three commands to the parser of `florenz`."""
    writing = argparse.ArgumentParser(add_help=False)
    writing.add_argument("out", type=Path, metavar="OUT", help="the new folder")
    writing.add_argument(
        "--dtype", choices=list(DTYPES), help="of the weights (default: as in the source; build: fp32)"
    )
    writing.add_argument("--max-shard-size", type=_bytes, default=_bytes("5GB"), help="of one file (default: 5GB)")
    writing.add_argument("--verify", action="store_true", help="read the result again, compare it, print checksums")
    writing.add_argument("--no-processor", action="store_true", help="leave the processor out")

    build = commands.add_parser("build", help="compose an untrained Florenz from Florence-2 and Gemma-2")
    build.add_argument("--size", required=True, choices=list(SIZES))
    build.add_argument("--florence", required=True, metavar="PATH_OR_REPO", help="Florence-2, old or native layout")
    build.add_argument("--gemma", required=True, metavar="PATH_OR_REPO", help="Gemma-2; 0.4b, 1.0b: its tokenizer")
    build.add_argument("--seed", type=int, default=0, help="of the new weights (default: 0)")
    build.set_defaults(run=_build)
    _share(build, writing)

    convert = commands.add_parser("convert", help="turn a checkpoint of the research code into a Florenz folder")
    convert.add_argument("source", metavar="SRC", help="folder or repository")
    convert.add_argument("--revision", help="branch, tag or commit of the repository")
    convert.add_argument("--florence-processor", metavar="PATH_OR_REPO", default="microsoft/Florence-2-large")
    convert.add_argument("--gemma-tokenizer", metavar="PATH_OR_REPO", default="google/gemma-2-2b")
    convert.set_defaults(run=_convert)
    _share(convert, writing)

    inspect = commands.add_parser("inspect", help="tell what a checkpoint is and what it needs")
    inspect.add_argument("source", metavar="PATH_OR_REPO")
    inspect.add_argument("--revision", help="branch, tag or commit of the repository")
    inspect.add_argument("--json", action="store_true")
    inspect.set_defaults(run=_inspect)


def _share(parser: argparse.ArgumentParser, shared: argparse.ArgumentParser) -> None:
    # After the command's own arguments, so that OUT comes last.
    for action in shared._actions:
        parser._add_action(action)


def _processor(florence: str | Path, gemma: str | Path) -> FlorenzProcessor:
    from ..checkpoint.assembly import assemble_processor

    return assemble_processor(resolve_source(florence, weights=False), resolve_source(gemma, weights=False))


def _build(arguments: argparse.Namespace) -> int:
    from ..checkpoint.composition import plan_composition

    config = config_from_size(arguments.size)
    florence = resolve_source(arguments.florence)
    gemma = resolve_source(arguments.gemma, weights=config.text_config.model_type == "gemma2")
    tensors = plan_composition(config, florence, gemma, DTYPES[arguments.dtype or "fp32"], arguments.seed)
    processor = None if arguments.no_processor else _processor(florence, gemma)
    origin = (
        f"An untrained Florenz {arguments.size}, composed from Florence-2 and Gemma 2: train it before captioning."
    )
    return _write(arguments, config, tensors, generation_settings(config), processor, origin)


def _convert(arguments: argparse.Namespace) -> int:
    source = resolve_source(arguments.source, arguments.revision)
    config, tensors = plan_conversion(source)
    if arguments.dtype:
        tensors = [dataclasses.replace(tensor, dtype=DTYPES[arguments.dtype]) for tensor in tensors]
    generation = paper_generation(read_json(source / "config.json"), config)
    processor = None if arguments.no_processor else _processor(arguments.florence_processor, arguments.gemma_tokenizer)
    origin = f"Florenz {size_of(config) or ''}, converted from a checkpoint of the paper's research code.".replace(
        "  ", " "
    )
    return _write(arguments, config, tensors, generation, processor, origin)


def _write(
    arguments: argparse.Namespace, config: FlorenzConfig, tensors: Any, generation: Any, processor: Any, origin: str
) -> int:
    out = write_model_folder(
        arguments.out,
        config,
        tensors,
        generation,
        processor,
        origin,
        max_shard_bytes=arguments.max_shard_size,
        verify=arguments.verify,
    )
    if arguments.verify:
        for path in sorted(out.glob("*.safetensors")):
            with path.open("rb") as file:
                print(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.name}")
        print(f"verified: {len(tensors)} tensors equal their sources")
    if processor is None:
        print("no processor was written: save one into the folder before captioning")
    print(out)
    return 0


def _inspect(arguments: argparse.Namespace) -> int:
    found = inspect_checkpoint(resolve_source(arguments.source, arguments.revision, weights=False))
    if arguments.json:
        print(json.dumps(dataclasses.asdict(found), ensure_ascii=False))
        return 0
    print(f"size          {found.size}, {found.decoder} decoder, {found.dtype}")
    print(f"format        {found.format}")
    for name, count in found.parameters.items():
        print(f"{'parameters' if name == 'vision tower' else '':<14}{count:>16,}  {name}")
    print(f"{'':<14}{found.trainable:>16,}  trainable as in the paper")
    for index, (name, count) in enumerate(found.memory.items()):
        print(f"{'' if index else 'memory':<14}{count / 1e9:>13.2f} GB  {name} (estimate, without activations)")
    print(f"languages     {', '.join(found.languages)}")
    print(f"licence       {found.license}")
    return 0
