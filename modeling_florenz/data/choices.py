"""Refuse what is not among the choices."""

from collections.abc import Iterable


def check_choice(what: str, value: object, choices: Iterable[object]) -> None:
    """Refuse a value that is not one of the choices.

    Raises:
        ValueError: with `what` it is, the choices and the value.
    """
    choices = list(choices)
    if value not in choices:
        raise ValueError(f"{what} must be one of {', '.join(map(str, choices))}, not {value!r}")
