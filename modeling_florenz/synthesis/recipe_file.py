"""Read a synthesis recipe: one YAML file whose keys are the fields of dataclasses."""

import dataclasses
import difflib
from collections.abc import Sequence
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from ..training.recipe_file import read_values, with_variables
from ..training.recipe_file import recipe_path as training_recipe_path
from ..training.recipe_values import typed
from .recipe import Recipe


RECIPES = Path(__file__).parent / "recipes"


def recipe_path(name: str) -> Path:
    """Find a recipe of the package by its name, or a file by its path.

    Raises:
        ValueError: there is neither.
    """
    return training_recipe_path(name, RECIPES)


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and put `key=value` overrides in the place of its own, as `florenz train --set` does.

    Raises:
        ValueError: a key is unknown or missing, or a value is wrong.

    Example:

    ```python
    >>> read_recipe(recipe_path("emoji")).assemble.captions
    ['en', 'de']
    ```
    """
    values = read_values(path, overrides)
    return _read(Recipe, with_variables(values, path.name), str(path))


def _read(kind: Any, values: Any, where: str) -> Any:
    if not isinstance(values, dict):
        raise ValueError(f"{where} must be a mapping of fields to values, not {values!r}")
    hints, fields = get_type_hints(kind), {entry.name: entry for entry in dataclasses.fields(kind)}
    for key in values:
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1)
            raise ValueError(f"{where} has the unknown key {key!r}: {_advice(near, fields)}")
    for name, entry in fields.items():
        if name not in values and entry.default is entry.default_factory is dataclasses.MISSING:
            raise ValueError(f"{where} has no {name}: add it")
    return kind(**{key: _value(hints[key], value, f"{where}: {key}") for key, value in values.items()})


def _advice(near: list[str], fields: Any) -> str:
    return f"did you mean {near[0]}?" if near else f"use some of {', '.join(fields)}"


def _value(hint: Any, value: Any, where: str) -> Any:
    inner = [part for part in get_args(hint) if part is not NoneType]
    if dataclasses.is_dataclass(hint):
        return _read(hint, value, where)
    if NoneType in get_args(hint):
        return None if value is None else _value(inner[0], value, where)
    value = typed(where, value, hint)
    if get_origin(hint) is list:
        return [_value(inner[0], entry, f"{where}.{number}") for number, entry in enumerate(value)]
    if get_origin(hint) is dict:
        return {str(key): _value(inner[1], entry, f"{where}.{key}") for key, entry in value.items()}
    return value
