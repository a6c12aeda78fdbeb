"""What goes from the process that speaks HTTP to the one that holds the model, and back."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Text:
    """Ask for one text; see `together.Request`."""

    task: str
    language: str
    source: str | None = None
    prefix: bool | str = False


@dataclass(frozen=True)
class Job:
    """Ask for all that one request wants.

    Args:
        texts: to write; the candidates' source alone, if there are candidates.
        image: RGB values of a square as the model takes it, row by row, or None without an image.
        candidates: translations to score instead of writing.
        is_streamed: send every text as it grows, searched greedily.
        deadline: on the monotonic clock, which processes of a machine share; nobody waits any longer than that.
    """

    texts: tuple[Text, ...]
    image: bytes | None = None
    candidates: tuple[str, ...] = ()
    is_streamed: bool = False
    deadline: float = 0.0

    @property
    def rows(self) -> int:
        """Count the rows of a batch that the job takes."""
        return max(len(self.texts), len(self.candidates))


@dataclass(frozen=True)
class Growth:
    """Report how far the text of a streamed job has come."""

    text: str


@dataclass(frozen=True)
class Result:
    """Answer a job.

    Args:
        values: the texts in their order, or the mean log-probabilities of the candidates.
        rows: of the batch that the job was part of.
        seconds: that the batch took.
    """

    values: list[Any]
    rows: int
    seconds: float


@dataclass(frozen=True)
class Failure:
    """Say why the model did not answer."""

    reason: str
