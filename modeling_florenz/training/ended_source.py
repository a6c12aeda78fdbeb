"""Say in one sentence that a data set could not be read to its end, in whatever process that was found."""

from collections.abc import Iterator
from contextlib import contextmanager

from ..data.hub_files import SourceEndedError


@contextmanager
def ended_source_said() -> Iterator[None]:
    """Turn what a worker of the loader raises into the sentence that it raised there.

    Raises:
        SourceEndedError: one sentence, without the worker's traceback.
    """
    try:
        yield
    except SourceEndedError as error:
        # A worker's error comes with its traceback, whose last line is the sentence behind the name of the class.
        last = str(error).strip().splitlines()[-1]
        name, _, sentence = last.partition(": ")
        raise SourceEndedError(sentence if name.endswith(SourceEndedError.__name__) else last) from None
