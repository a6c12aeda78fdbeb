"""Define what a benchmark asks of a model, and how texts are searched for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


_WITH_CAPTIONS = ("en", "de")  # languages of the captions in the paper's pre-training


@dataclass(frozen=True)
class SearchProtocol:
    """Fix how texts are searched for; the defaults are the paper's."""

    num_beams: int = 4
    max_new_tokens: int = 128
    no_repeat_ngram_size: int = 3
    prefix: str = "off"  # on, off, or auto: on for captions in languages without captions in pre-training
    image: str = "on"  # on, blank, shuffled
    image_size: int | None = None
    via: str | None = None  # language to caption in first; the caption is then translated beside the image

    def __post_init__(self) -> None:
        if self.via not in (None, "en"):
            raise ValueError(f"via must be en, not {self.via!r}: only English is translated")
        if self.via and self.prefix != "off":
            raise ValueError(
                f"prefix is {self.prefix} beside via {self.via}: a translation has no prefix, so set it to off"
            )

    def search(self) -> dict[str, Any]:
        """Return the arguments of `generate`."""
        return {
            "num_beams": self.num_beams,
            "max_new_tokens": self.max_new_tokens,
            "no_repeat_ngram_size": self.no_repeat_ngram_size,
            "do_sample": False,
            "early_stopping": self.num_beams > 1,
        }

    def finish(self, text: str) -> str:
        """Strip a generated text and start it with an upper-case letter."""
        text = text.strip()
        return text[:1].upper() + text[1:]

    def uses_prefix(self, task: str, language: str) -> bool:
        """Return whether a text starts with the caption prefix of its language."""
        wanted = self.prefix == "on" or (self.prefix == "auto" and language not in _WITH_CAPTIONS)
        return wanted and task != "translate"


class EvaluatedModel(Protocol):
    """Write a text for each row, as a benchmark asks of a model."""

    @property
    def languages(self) -> Sequence[str]:
        """Return the languages that are evaluated if none are named, as ISO 639-1 codes."""
        ...

    def writes(self, language: str) -> bool:
        """Return whether the model can be asked for a language."""
        ...

    def generate(self, rows: Sequence[dict[str, Any]], protocol: SearchProtocol) -> list[str]:
        """Write one text for each row, all in the same language and of the same task.

        Raises:
            ValueError: the model cannot do what a row asks for.
        """
        ...

    def fingerprint(self) -> Mapping[str, str | None]:
        """Return digests of all that decides what the model writes, by what they are of."""
        ...


@runtime_checkable
class ContrastingModel(Protocol):
    """Score how likely given translations are."""

    def perplexities(self, rows: Sequence[dict[str, Any]], targets: Sequence[str]) -> list[float]:
        """Return the perplexity of each target as the translation of its row's source beside its image."""
        ...


@runtime_checkable
class LossModel(Protocol):
    """Score how likely the targets of rows are."""

    def losses(self, rows: Sequence[dict[str, Any]], protocol: SearchProtocol) -> list[float]:
        """Return each row's mean cross-entropy over its target's tokens, in nats."""
        ...


class PivotModel:
    """Caption by way of English: in English first, then the same model translates that beside the image.

    Raises:
        ValueError: the model does not write English.
    """

    def __init__(self, model: EvaluatedModel) -> None:
        if not model.writes("en"):
            raise ValueError(
                f"the model writes {', '.join(model.languages)} and so cannot caption in English first: leave via out"
            )
        self.model = model
        self.languages = [language for language in model.languages if language != "en"]

    def writes(self, language: str) -> bool:
        return language != "en" and self.model.writes(language)

    def fingerprint(self) -> Mapping[str, str | None]:
        return self.model.fingerprint()

    def generate(self, rows: Sequence[dict[str, Any]], protocol: SearchProtocol) -> list[str]:
        english = self.model.generate([{**row, "language": "en"} for row in rows], protocol)
        # An empty caption is not a source: "something" leaves everything to the image.
        sources = [text or "something" for text in english]
        asked = [{**row, "task": "translate", "source": source} for row, source in zip(rows, sources, strict=True)]
        return self.model.generate(asked, protocol)
