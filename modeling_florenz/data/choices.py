"""Check a value against a list of choices."""

from collections.abc import Iterable


def check_choice(what: str, value: object, choices: Iterable[object]) -> None:
    """Check that a value is one of the choices.

    Raises:
        ValueError: it is not; the message says `what` it is, the choices and the value.
    """
    choices = list(choices)
    if value not in choices:
        raise ValueError(f"{what} must be one of {', '.join(map(str, choices))}, not {value!r}")
