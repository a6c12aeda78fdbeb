"""Read a training recipe: one YAML file whose keys are the fields of two dataclasses."""

import dataclasses
import os
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from ..yaml_files import parse_yaml, read_yaml
from .recipe import RecipeArguments
from .recipe_values import nearest, typed
from .trainer_arguments import FlorenzTrainingArguments


RECIPES = Path(__file__).parent / "recipes"
_VARIABLE = re.compile(r"\$(\$)?\{([^{}]*)\}")


def recipe_path(name: str, recipes: Path = RECIPES) -> Path:
    """Find a recipe of the package by its name, or a file by its path.

    Args:
        recipes: folder of the package's recipes, those of training if left out.

    Raises:
        ValueError: there is neither.
    """
    packaged = recipes / f"{name}.yaml"
    path = packaged if packaged.is_file() else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in recipes.glob("*.yaml")))
        raise ValueError(f"{name} is neither a file nor one of the recipes {known}")
    return path


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read a recipe and put `key=value` overrides, whose values are YAML, in the place of its own.

    A key can be a path with dots into mappings and lists, such as `train_data.0.examples`. `${NAME}` in any text is
    the environment variable of that name, and `$${NAME}` is the text itself.

    Raises:
        ValueError: a key is unknown (the nearest valid one is named), something is not YAML, a path leads nowhere, or
            a variable is not set.
    """
    values = read_values(path, overrides)
    known = _annotations()
    for key, value in values.items():
        if key not in known:
            raise ValueError(f"{path} has the unknown key {key!r}{nearest(key, known)}")
        values[key] = typed(key, with_variables(value, key), known[key])
    return values


def read_values(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read a mapping and put `key=value` overrides in it, whatever the keys mean; see `read_recipe`.

    Raises:
        ValueError: something is not YAML, not a mapping, or a path leads nowhere.
    """
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise ValueError(f"{path} is not a recipe: it must be a YAML mapping of fields to values")
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise ValueError(f"--set {override}: write it as key=value")
        put(values, key.strip().split("."), parse_yaml(value, f"--set {override}"), f"--set {override}")
    return values


def put(values: dict[str, Any], keys: Sequence[str], value: Any, where: str) -> None:
    """Put a value at the end of a path into mappings and lists; one more than a list has appends to it."""
    place: Any = values
    for depth, key in enumerate(keys):
        name, is_last = ".".join(keys[:depth]), depth == len(keys) - 1
        if isinstance(place, list):
            if not key.isdecimal() or int(key) > len(place) - (0 if is_last else 1):
                raise ValueError(
                    f"{where}: {name} has {len(place)} entries, counted from 0: there is no entry {key!r}"
                )
            if is_last and int(key) == len(place):
                place.append(value)
            elif is_last:
                place[int(key)] = value
            else:
                place = place[int(key)]
        elif isinstance(place, dict):
            if is_last:
                place[key] = value
            elif place.get(key) is None:
                place[key] = {}
            place = place[key]
        else:
            raise ValueError(f"{where}: {name} is {place!r}, which has no entries: leave {'.'.join(keys[depth:])} out")


def with_variables(value: Any, where: str) -> Any:
    """Put environment variables into every text; a text that is one variable alone can be a number or a flag."""
    if isinstance(value, dict):
        return {key: with_variables(entry, f"{where}.{key}") for key, entry in value.items()}
    if isinstance(value, list):
        return [with_variables(entry, f"{where}.{index}") for index, entry in enumerate(value)]
    if not isinstance(value, str):
        return value

    def look_up(match: re.Match[str]) -> str:
        if match[1]:
            return match[0][1:]
        if match[2] not in os.environ:
            raise ValueError(f"{where} asks for the environment variable {match[2]!r}, which is not set: set it")
        return os.environ[match[2]]

    text = _VARIABLE.sub(look_up, value)
    if (whole := _VARIABLE.fullmatch(value)) and not whole[1]:
        found = parse_yaml(text, where)
        return found if isinstance(found, bool | int | float) else text
    return text


@cache
def _annotations() -> dict[str, Any]:
    classes = (FlorenzTrainingArguments, RecipeArguments)
    hints = {name: hint for kind in classes for name, hint in get_type_hints(kind).items()}
    return {entry.name: hints[entry.name] for kind in classes for entry in dataclasses.fields(kind) if entry.init}
