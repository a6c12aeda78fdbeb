"""Choose what a training sees of emoji scenes: tasks, languages, and what the sources of translations hide."""

import random
from dataclasses import dataclass

from ..hiding import Hiding
from .wording import PREFIXES, check_pair


PAPER_COVERAGE = (
    *((task, language) for language in ("en", "de") for task in ("caption", "detailed_caption")),
    *(("translate", language) for language in ("de", "fr", "es", "ru", "zh")),
)


@dataclass(frozen=True)
class Coverage:
    """Choose the (task, language) pairs that training sees, and what the sources of translations hide.

    `hiding` hides nouns of a source; `hidden_sources` is the probability that the whole sentence is hidden.
    """

    pairs: tuple[tuple[str, str], ...] = PAPER_COVERAGE
    hiding: Hiding = Hiding()
    hidden_sources: float = 0.0

    def __post_init__(self) -> None:
        if not self.pairs:
            raise ValueError(f"pairs must hold at least one (task, language) pair, not {self.pairs!r}.")
        for task, language in self.pairs:
            check_pair(task, language)
        self.hiding.check_languages([language for language in PREFIXES if language != "en"])
        if not 0.0 <= self.hidden_sources <= 1.0:
            raise ValueError(f"hidden_sources must be a share from 0 to 1, not {self.hidden_sources!r}.")
        if self.hidden_sources and self.hiding.mode in ("partial", "whole"):
            raise ValueError(
                f"hidden_sources is {self.hidden_sources!r} beside hiding {self.hiding.mode}: use hiding "
                "independent or leave hidden_sources out"
            )

    def draw(self, rng: random.Random) -> tuple[str, str]:
        """Draw a pair: every language to caption in and every language to translate into has the same share."""
        groups: dict[tuple[bool, str], list[tuple[str, str]]] = {}
        for task, language in self.pairs:
            groups.setdefault((task == "translate", language), []).append((task, language))
        return rng.choice(rng.choice(list(groups.values())))
