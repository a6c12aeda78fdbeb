"""Check the values of a recipe against the types of its fields."""

import difflib
import math
import re
from collections.abc import Iterable
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin


_FLAGS = {
    "yes": True,
    "on": True,
    "no": False,
    "off": False,
}
_GROUPED = re.compile(r"[-+]?[0-9]+(?:_[0-9]+)+")


def nearest(key: str, known: Iterable[str]) -> str:
    """Return words for an error about an unknown key: the nearest one that is known."""
    matches = difflib.get_close_matches(str(key), list(known), n=1)
    return f": did you mean {matches[0]}?" if matches else ": see florenz train --help"


def typed(key: str, value: Any, annotation: Any) -> Any:
    """Bring a value to its field's type: 1 is a rate too, 1e3 a count, and `yes` a flag where a flag is meant.

    Args:
        key: of the field, for the error.
        value: as YAML gives it.
        annotation: type of the field.

    Raises:
        ValueError: the value does not fit.

    Example:

    ```python
    >>> typed("max_steps", 1e3, int), typed("max_steps", "10_000", int), typed("merge", "yes", bool)
    (1000, 10000, True)
    ```
    """
    kinds = _kinds(annotation)
    if bool in kinds and str not in kinds and isinstance(value, str):
        value = _FLAGS.get(value.lower(), value)
    if {int, float} & {*kinds} and isinstance(value, str) and str not in kinds and _GROUPED.fullmatch(value):
        value = int(value)
    if int in kinds and float not in kinds and isinstance(value, float) and math.isfinite(value):
        value = int(value) if value.is_integer() else value
    fits = isinstance(value, (*kinds, int) if float in kinds else kinds)
    if not fits or (isinstance(value, bool) and bool not in kinds):
        names = " or ".join(dict.fromkeys(kind.__name__ for kind in kinds if kind is not NoneType))
        raise ValueError(f"{key} must be of type {names}, not {value!r}")
    return value


def _kinds(annotation: Any) -> tuple[type, ...]:
    """Return the classes of an annotation, `dict` for `dict[str, float]`."""
    if get_origin(annotation) is Literal:
        return tuple(type(value) for value in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return tuple(kind for part in get_args(annotation) for kind in _kinds(part))
    return (get_origin(annotation) or annotation,)
