"""The command `florenz score`."""

import argparse
import math
import sys
from typing import Any

from .arguments import add_model, load_captioner, print_record


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    score = commands.add_parser("score", help="tell which translation fits the image best")
    add_model(score)
    score.add_argument("image", metavar="IMAGE")
    score.add_argument("--text", required=True, help="the English text")
    score.add_argument("--language", required=True, help="ISO 639-1 code")
    score.add_argument("--candidate", action="append", required=True, help="a translation; give two or more")
    score.set_defaults(run=_score)


def _score(arguments: argparse.Namespace) -> int:
    if len(arguments.candidate) < 2:
        raise ValueError("one candidate alone always wins: give --candidate at least twice")
    captioner = load_captioner(arguments)
    scores = captioner.score(arguments.image, arguments.text, arguments.language, arguments.candidate)
    best = min(score.perplexity for score in scores)
    winners = [score.text for score in scores if score.perplexity == best]
    for score in scores:
        winner = winners == [score.text]
        record = {
            "candidate": score.text,
            "mean_log_probability": score.mean_log_probability,
            # JSON knows no infinity.
            "perplexity": score.perplexity if math.isfinite(score.perplexity) else None,
            "winner": winner,
        }
        likelihood = f"{score.mean_log_probability:8.4f} nats/token  perplexity {score.perplexity:10.3f}"
        print_record(arguments, record, f"{'*' if winner else ' '} {likelihood}  {score.text}")
    if len(winners) > 1:
        print("florenz: a tie, there is no winner", file=sys.stderr)
    return 0
