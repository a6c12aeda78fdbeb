"""What `florenz build` and `florenz convert` share: how the new folder is written and described."""

import argparse
import hashlib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    import torch

    from ..configuration_florenz import FlorenzConfig
    from ..processing_florenz import FlorenzProcessor


DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
_UNITS = {"MB": 10**6, "GB": 10**9}


def _bytes(value: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(MB|GB)", value.strip(), re.IGNORECASE)
    if not match or not (count := int(float(match[1]) * _UNITS[match[2].upper()])):
        raise ValueError
    return count


_bytes.__name__ = "size such as 5GB or 500MB"


def add_writing(parser: argparse.ArgumentParser) -> None:
    """Add the new folder, and how it is written."""
    parser.add_argument("out", type=Path, metavar="OUT", help="the new folder")
    parser.add_argument(
        "--dtype", choices=list(DTYPES), help="of the weights (default: as in the source; build: fp32)"
    )
    parser.add_argument("--max-shard-size", type=_bytes, default=_bytes("5GB"), help="of one file (default: 5GB)")
    parser.add_argument("--verify", action="store_true", help="read the result again, compare it, print checksums")
    parser.add_argument("--no-processor", action="store_true", help="leave the processor out")


def torch_dtype(name: str) -> "torch.dtype":
    """Return the dtype that `--dtype` names."""
    import torch

    return getattr(torch, DTYPES[name])


def make_processor(florence: str | Path, gemma: str | Path) -> "FlorenzProcessor":
    """Make the processor from the folders or repositories of the two tokenizers."""
    from ..checkpoint.assembly import assemble_processor
    from ..checkpoint.sources import resolve_source

    return assemble_processor(resolve_source(florence, weights=False), resolve_source(gemma, weights=False))


def write_folder(
    arguments: argparse.Namespace,
    config: "FlorenzConfig",
    tensors: Any,
    generation: Any,
    processor: "FlorenzProcessor | None",
    origin: str,
    sources: list[Path],
) -> int:
    """Write the model folder and print where it is and what was verified.

    Args:
        sources: folders of what the weights come from, whose licence binds the result.
    """
    from ..checkpoint.licences import license_of_all
    from ..checkpoint.model_folder import write_model_folder

    license = license_of_all(sources)
    out = write_model_folder(
        arguments.out,
        config,
        tensors,
        generation,
        processor,
        origin,
        license,
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
    if license is None:
        names = " and ".join(source.name for source in sources)
        print(f"florenz: {names}: no licence is stated, so none was written: see README.md", file=sys.stderr)
    print(out)
    return 0
