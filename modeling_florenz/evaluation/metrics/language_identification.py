"""Check whether a text is in the language that was asked for."""

from collections.abc import Collection
from functools import cache
from typing import Any

from ...extras import install_command


class LanguageIdentifier:
    """Tell languages apart by py3langid, among candidates.

    Args:
        candidates: ISO 639-1 codes; those that py3langid does not know are left out.

    Raises:
        ValueError: py3langid is not installed.

    Example:

    ```python
    >>> LanguageIdentifier(["en", "pt"]).is_in("Um cachorro corre na praia.", "pt")
    True
    ```
    """

    def __init__(self, candidates: Collection[str]) -> None:
        self.candidates = frozenset(candidates) & _known()
        self._identifier = _identifier(self.candidates)

    def knows(self, language: str) -> bool:
        """Return whether a text could be found to be in the language."""
        return language in self.candidates

    def is_in(self, text: str, language: str) -> bool:
        """Return whether a text, not empty, is in the language rather than in another of the candidates."""
        return bool(text.strip()) and self._identifier.classify(text)[0] == language


@cache
def _known() -> frozenset[str]:
    return frozenset(_load().labels)


@cache
def _identifier(candidates: frozenset[str]) -> Any:
    identifier = _load()
    identifier.set_languages(sorted(candidates))
    return identifier


def _load() -> Any:
    try:
        from py3langid import langid
    except ImportError:
        raise ValueError(f"telling languages needs py3langid: {install_command('eval')}") from None
    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE)
