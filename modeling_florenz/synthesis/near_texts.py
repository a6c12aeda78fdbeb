"""Find texts that say what a text of an evaluation set says, in other case and punctuation or nearly word for word."""

from collections.abc import Iterable
from typing import Any

from ..extras import install_command
from .filters import normal_form


# Estimates of the overlap err by 0.04; what is really compared below decides.
_CANDIDATE, _SAME = 0.75, 0.9
_PERMUTATIONS = 64
_SHORTEST = 24  # in letters: of shorter texts, only equal ones are found


class NearTexts:
    """Hold texts with the name of the set they are from.

    Args:
        texts: and the name of the set of each.

    Example:

    ```python
    >>> near = NearTexts([("A man in a red hat is riding a horse.", "commute")])
    >>> near.find(["a man, in a RED hat, is riding a horse"])
    'commute'
    ```
    """

    def __init__(self, texts: Iterable[tuple[str, str]]) -> None:
        self.names: dict[str, str] = {}
        for text, name in texts:
            if form := normal_form(text):
                self.names.setdefault(form, name)
        self._near = _index(self.names)

    def find(self, texts: Iterable[str]) -> str | None:
        """Return the name of the set that holds one of the texts, or None."""
        for text in texts:
            form = normal_form(text)
            if form in self.names:
                return self.names[form]
            if len(form) < _SHORTEST or self._near is None:
                continue
            pieces = _pieces(form)
            for candidate in self._near.query(_min_hash(pieces)):
                others = _pieces(candidate)
                if len(pieces & others) >= _SAME * len(pieces | others):
                    return self.names[candidate]
        return None


def _index(names: dict[str, str]) -> Any:
    long = [form for form in names if len(form) >= _SHORTEST]
    if not long:
        return None
    index = _datasketch().MinHashLSH(threshold=_CANDIDATE, num_perm=_PERMUTATIONS)
    for form in long:
        index.insert(form, _min_hash(_pieces(form)), check_duplication=False)
    return index


def _pieces(form: str) -> set[str]:
    return {form[start : start + 4] for start in range(max(1, len(form) - 3))}


def _min_hash(pieces: set[str]) -> Any:
    found = _datasketch().MinHash(num_perm=_PERMUTATIONS, seed=1)
    found.update_batch([piece.encode() for piece in pieces])
    return found


def _datasketch() -> Any:
    try:
        import datasketch
    except ImportError:
        raise ValueError(f"comparing texts needs datasketch: {install_command('synthesis')}") from None
    return datasketch
