"""Repositories that cannot be loaded are reported in one sentence that says what to do."""

import random
from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from research_checkpoint import write_research_checkpoint
from tiny_models import KINDS, tiny_config

from modeling_florenz import FlorenzForConditionalGeneration
from modeling_florenz.checkpoint import sources
from modeling_florenz.checkpoint.conversion import load_research_checkpoint
from modeling_florenz.cli import main


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            GatedRepoError,
            "owner/name is gated: accept its terms at https://huggingface.co/owner/name, then",
        ),
        (RepositoryNotFoundError, "owner/name is not a repository on the Hub, or a private one"),
        (RevisionNotFoundError, "owner/name has no revision 'v9'"),
    ],
)
def test_the_hubs_refusals_become_one_sentence(
    error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **settings: object) -> str:
        refusal = error.__new__(error)  # made without the answer of a server
        refusal.args = ("401\nlong text",)
        raise refusal

    monkeypatch.setattr(sources, "snapshot_download", refuse)
    with pytest.raises(ValueError) as found:
        sources.resolve_source("owner/name", "v9")
    assert message in str(found.value)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", KINDS)
def test_random_research_checkpoints_survive_the_round_trip(kind: str, seed: int, tmp_path: Path) -> None:
    draw = random.Random(f"{kind} {seed}")
    sizes = {"vocab_size": draw.randrange(60, 200)}
    if kind == "gemma2":
        sizes |= {"num_hidden_layers": draw.choice([1, 3]), "intermediate_size": draw.choice([32, 72])}
    source = write_research_checkpoint(
        tmp_path / "source", tiny_config(kind, **sizes), max_shard_bytes=draw.choice([10**5, 10**9])
    )
    out = tmp_path / "out"
    limit = draw.choice(["0.3MB", "5GB"])
    assert main(["convert", str(source), str(out), "--no-processor", "--verify", "--max-shard-size", limit]) == 0
    ours = FlorenzForConditionalGeneration.from_pretrained(out).state_dict()
    theirs = load_research_checkpoint(source).state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())
