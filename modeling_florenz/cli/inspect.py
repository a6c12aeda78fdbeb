"""The command `florenz inspect`."""

import argparse
import dataclasses
import json
from typing import Any


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    inspect = commands.add_parser("inspect", help="tell what a checkpoint is and what it needs")
    inspect.add_argument("source", metavar="PATH_OR_REPO")
    inspect.add_argument("--revision", help="branch, tag or commit of the repository")
    inspect.add_argument("--json", action="store_true", help="one JSON object")
    inspect.set_defaults(run=_inspect)


def _inspect(arguments: argparse.Namespace) -> int:
    from ..checkpoint.inspection import inspect_checkpoint
    from ..checkpoint.sources import resolve_source

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
    print(f"licence       {found.license or 'not stated'}")
    return 0
