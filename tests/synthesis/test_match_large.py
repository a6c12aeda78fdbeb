"""A million sentence pairs against ten thousand images: the time of each does not grow, and memory stays small."""

import resource
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest

from modeling_florenz.synthesis.embed import Vectors, unit
from modeling_florenz.synthesis.match import MatchPairs
from modeling_florenz.synthesis.recipe import Match
from modeling_florenz.synthesis.run_step import run_step
from modeling_florenz.synthesis.shards import Batch, Made, write_shard


WIDTH, IMAGES, SHARD = 512, 10_000, 5_000


class Oracle:
    """Know which image a sentence is about by its number."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.known = unit(rng.normal(size=(IMAGES, WIDTH)).astype(np.float32), "oracle")
        self.noise = (0.02 * rng.normal(size=(997, WIDTH))).astype(np.float32)

    def texts(self, texts: Sequence[str]) -> Vectors:
        numbers = np.array([int(text.rpartition(" ")[2]) for text in texts])
        return unit(self.known[numbers % IMAGES] + self.noise[numbers % 997], "oracle")


class OracleMatch(MatchPairs):
    @cached_property
    def _embedder(self) -> Oracle:
        return Oracle()


def _seconds_a_pair(step: OracleMatch, pairs: int, work: Path) -> tuple[float, float]:
    def batches():
        for start in range(0, pairs, SHARD):
            numbers = range(start, min(start + SHARD, pairs))
            rows = [
                {"key": str(n), "language": "de", "english": f"Sentence {n}", "target": f"Satz {n}"} for n in numbers
            ]
            yield Batch(str(start), (rows,), len(rows))

    before = time.process_time()
    done = run_step(step, batches(), work)
    seconds = time.process_time() - before
    found = 0
    for shard in done.shards("key", "image"):
        best: dict[str, list[int]] = {}
        for row in shard.read():
            best.setdefault(row["key"], []).append(int(row["image"]))
        found += sum(int(key) % IMAGES in images for key, images in best.items())
    assert sum(done.reasons().values()) == 0
    return seconds / pairs, found / pairs


@pytest.mark.slow
def test_the_time_of_a_pair_does_not_grow_from_ten_thousand_to_a_million(tmp_path: Path) -> None:
    vectors = [{"key": str(number), "vector": list(vector)} for number, vector in enumerate(Oracle().known)]
    from modeling_florenz.synthesis.embed import EmbedImages

    write_shard(tmp_path / "embed.parquet", EmbedImages.schema, Made(vectors), Batch("", (), IMAGES), "")
    del vectors
    step = OracleMatch(Match(model="oracle", top=5, threshold=-1.0), [tmp_path / "embed.parquet"])
    _seconds_a_pair(step, SHARD, tmp_path / "warm")  # loads the index
    figures = {pairs: _seconds_a_pair(step, pairs, tmp_path / str(pairs)) for pairs in (10_000, 100_000, 1_000_000)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(figures, peak, time.process_time())
    assert all(recall == 1.0 for _, recall in figures.values())
    paces = [pace for pace, _ in figures.values()]
    assert max(paces) <= 1.1 * min(paces)
    assert paces[-1] * 1_000_000 < 40 * 60
    assert peak < 2.0
