"""Know a finished run by what it left, so that running its recipe again changes nothing."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..checkpoint.loading import BUNDLED_NAME
from ..run_record import shorten
from ..yaml_files import parse_yaml, read_yaml, to_yaml
from .recipe_data import RecipeData


# Of this machine, or of its owner alone.
_PRIVATE = ("output_dir", "data_folder", "base_id")


@dataclass(frozen=True)
class Run:
    """Name what a finished run left: its folder, and the numbers of `results.json`."""

    folder: Path
    results: dict[str, Any]


def finished_run(data: RecipeData) -> Run | None:
    """Return what this very recipe left when it ended; None if it did not, or where its weights are gone."""
    recipe = data.recipe
    is_adapter = recipe.arguments.method in ("lora", "qlora")
    folder = recipe.output / ("adapter" if is_adapter else "model")
    folders = [folder, *([recipe.output / "model"] if recipe.arguments.merge else [])]
    try:
        for each in folders:
            if read_yaml(each / "recipe.yaml") != _as_read(recipe.values):
                return None
        results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return Run(folder, results) if isinstance(results, dict) else None


def published_recipe(values: dict[str, Any]) -> str:
    """Return a recipe as YAML for readers elsewhere: without folders of this machine, with the base's public name."""
    recipe = {key: value for key, value in values.items() if key not in _PRIVATE}
    recipe["model"] = values.get("base_id") or values.get("model", BUNDLED_NAME)
    return to_yaml(_without_places(recipe))


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_places(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without_places(entry) for entry in value]
    return shorten(value) if isinstance(value, str) else value


def _as_read(values: dict[str, Any]) -> Any:
    return parse_yaml(published_recipe(values), "the recipe")
