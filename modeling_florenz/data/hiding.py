"""Choose which things of a translation's source are hidden, so that only the image shows them."""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property


MODES = ("none", "independent", "partial", "whole")


@dataclass(frozen=True)
class Hiding:
    """Describe what the sources of translations hide.

    Args:
        mode: `none` hides nothing; `independent` hides each thing with probability `share`; `partial` does the same,
            but leaves at least one thing of a source named, and hides nothing if there is only one; `whole` hides
            all things of a source with probability `share`, or none.
        share: probability from 0 to 1.
        languages: target languages whose sources hide something; empty for all.
        things: the only things that may be hidden; empty for all. A source that names another is never hidden whole.

    Raises:
        ValueError: the mode is unknown, the share is out of range, or the settings contradict each other.

    Example:

    ```python
    >>> Hiding("partial", 1.0, languages=("fr",)).choose(["dog", "cat"], "de", random.Random(0))
    [False, False]
    ```
    """

    mode: str = "none"
    share: float = 0.0
    languages: tuple[str, ...] = ()
    things: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"hiding must be one of {', '.join(MODES)}, not {self.mode!r}")
        if not 0.0 <= self.share <= 1.0:
            raise ValueError(f"grounding must be a share from 0 to 1, not {self.share!r}")
        if self.mode == "none" and self.share:
            raise ValueError(
                f"grounding is {self.share!r} but hiding is none: set hiding to independent, partial or whole"
            )
        if self.mode != "none" and not self.share:
            raise ValueError(f"hiding is {self.mode} but grounding is 0: set grounding to the share to hide")
        for name, value in (("hiding_languages", self.languages), ("hidden_things", self.things)):
            if self.mode == "none" and value:
                raise ValueError(f"{name} is {', '.join(value)} but hiding is none: set hiding, or leave {name} out")

    @cached_property
    def _allowed(self) -> frozenset[str]:
        # A field would also be compared and printed; only the lookup needs to be fast.
        return frozenset(self.things)

    def check_languages(self, known: Collection[str]) -> None:
        """Check the languages against those that sources are translated into.

        Raises:
            ValueError: a language of `hiding_languages` is not among the known ones.
        """
        for language in self.languages:
            if language not in known:
                raise ValueError(f"hiding_languages must be among {', '.join(known)}, not {language!r}")

    def choose(self, things: Sequence[str], language: str, rng: random.Random) -> list[bool]:
        """Return, thing by thing, whether the source hides it, as `rng` decides."""
        if self.mode == "none" or (self.languages and language not in self.languages):
            return [False] * len(things)
        may = [not self.things or thing in self._allowed for thing in things]
        if self.mode == "whole":
            return [rng.random() < self.share and all(may)] * len(things)
        hidden = [rng.random() < self.share and allowed for allowed in may]
        if self.mode == "partial" and all(hidden):
            hidden[rng.randrange(len(hidden))] = False
        return hidden
