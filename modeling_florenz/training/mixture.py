"""Mix examples of several tasks and languages at given shares, in an order that is fixed before the first step."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from ..data.hub_files import SourceEndedError
from ..data.rows import Examples, InBlocks, NamedImages
from .feature_cache import FeatureCache


# Blocks whose rows are mixed; as many are kept in memory by what reads them.
_BLOCKS_AT_A_TIME = 2
# Weights of the paper's schemes. Captions first, then translations from English.
_PRE_TRAINING = ("caption/en", "caption/de", *(f"translate/{language}" for language in ("de", "fr", "es", "ru", "zh")))
PAPER_SHARES: dict[str, dict[str, float]] = {
    "task-lang-balancing": dict.fromkeys(_PRE_TRAINING, 1.0),
    "task-balancing": {pair: 5.0 if pair.startswith("caption") else 2.0 for pair in _PRE_TRAINING},
    "lang-balancing": {pair: 1.0 if pair in ("caption/de", "translate/de") else 2.0 for pair in _PRE_TRAINING},
    "generalist_finetune": dict.fromkeys(
        (*(f"caption/{language}" for language in ("en", "de", "fr", "es", "ru", "zh")), *_PRE_TRAINING[2:]), 1.0
    ),
}


def target_shares(shares: str | Mapping[str, float], sizes: Mapping[str, int]) -> dict[str, float]:
    """Return the share of the draws for each group; the sum is 1.

    Args:
        shares: a scheme of `PAPER_SHARES`, `rows` for shares that follow the number of examples, or weights by group.
        sizes: examples in each group, by `task/language`.

    Raises:
        ValueError: the scheme is unknown, or the groups of shares and data are not the same.
    """
    if isinstance(shares, str):
        if shares != "rows" and shares not in PAPER_SHARES:
            raise ValueError(f"shares must be rows, {', '.join(PAPER_SHARES)} or weights, not {shares!r}")
        weights = dict(sizes) if shares == "rows" else PAPER_SHARES[shares]
    else:
        weights = dict(shares)
    if missing := sorted(set(weights) - set(sizes)):
        raise ValueError(f"shares ask for {', '.join(missing)}, which train_data does not hold: add the data")
    if missing := sorted(set(sizes) - set(weights)):
        raise ValueError(f"train_data holds {', '.join(missing)}, for which shares has no weight: add one")
    for group, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < float("inf"):
            raise ValueError(f"the share of {group} must be a positive number, not {weight!r}")
    total = sum(weights.values())
    return {group: weights[group] / total for group in sizes}


class Mixture(Dataset):
    """Draw examples from groups at fixed shares, each group without repetition until all of it has been seen.

    Draw `i` is the same example in every run, worker and process, so training resumes at the very next batch:
    read it in order, with a sequential sampler.

    Args:
        groups: sequences of rows, by `task/language`.
        shares: see `target_shares`.
        length: number of draws.
        seed: of the draws. Each row also has a `draw_seed`, for random choices about it later.
        features: where a row's image has a name there, it has `image_features` in the place of the image, or
            `image_key` beside it.

    Example:

    ```python
    >>> mixture = Mixture({"caption/en": [{"key": "a"}, {"key": "b"}]}, "rows", length=4, seed=0)
    >>> sorted(mixture[i]["key"] for i in range(2))
    ['a', 'b']
    ```
    """

    def __init__(
        self,
        groups: Mapping[str, Examples],
        shares: str | Mapping[str, float],
        length: int,
        seed: int,
        features: FeatureCache | None = None,
    ) -> None:
        self.features = features
        self.names = list(groups)
        self.groups = list(groups.values())
        self.seed = seed
        self.shares = target_shares(shares, {name: len(group) for name, group in groups.items()})
        rng = np.random.default_rng([seed, 1])
        self.group_of = rng.choice(len(self.names), size=length, p=[self.shares[name] for name in self.names])
        self.row_of = np.empty(length, np.int64)
        for number, group in enumerate(self.groups):
            draws = np.flatnonzero(self.group_of == number)
            rounds = -(-len(draws) // len(group))
            order = [_order(group, np.random.default_rng([seed, 2, number, turn])) for turn in range(rounds)]
            self.row_of[draws] = np.concatenate(order)[: len(draws)] if order else []

    def __len__(self) -> int:
        return len(self.group_of)

    def __getitem__(self, draw: int) -> dict[str, Any]:
        """Return the row of a draw, or `{"skipped": reason}` if its image cannot be read.

        Raises:
            SourceEndedError: a whole file of the data set can no longer be read.
        """
        group, index = self.groups[self.group_of[draw]], int(self.row_of[draw])
        try:
            row = self._row(group, index)
        except SourceEndedError:
            raise
        except Exception as error:  # image decoders raise many kinds of errors for a broken file
            where = f"example {index} of {self.names[self.group_of[draw]]}"
            return {"skipped": f"{where}: {' '.join(str(error).split()) or type(error).__name__}"}
        return {**row, "draw_seed": f"{self.seed}/{draw}"}

    def _row(self, group: Examples, index: int) -> dict[str, Any]:
        name = group.image_name(index) if self.features is not None and isinstance(group, NamedImages) else None
        if self.features is None or name is None or not isinstance(group, NamedImages):
            return dict(group[index])
        key = self.features.key_of_file(name)
        found = self.features.read(key)
        if found is not None:
            return {**group.without_image(index), "image_features": found}
        return {**group[index], "image_key": key}


def _order(group: Examples, rng: np.random.Generator) -> np.ndarray:
    """Shuffle the rows of a group; of one in blocks, the blocks and then the rows within a few of them."""
    blocks = group.blocks() if isinstance(group, InBlocks) else None
    if blocks is None:
        return rng.permutation(len(group))
    numbers, counts = np.unique(np.asarray(blocks), return_counts=True)
    rows = np.split(np.argsort(blocks, kind="stable"), np.cumsum(counts)[:-1])
    order = rng.permutation(len(numbers))
    several = [order[start : start + _BLOCKS_AT_A_TIME] for start in range(0, len(order), _BLOCKS_AT_A_TIME)]
    return np.concatenate([rng.permutation(np.concatenate([rows[block] for block in window])) for window in several])
