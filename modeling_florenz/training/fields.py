"""List the fields of a recipe as its source files write them: importing Trainer to print a help page takes seconds."""

import ast
import importlib.util
from pathlib import Path


def recipe_names() -> list[str]:
    """List the recipes that come with the package."""
    return sorted(path.stem for path in (Path(__file__).parent / "recipes").glob("*.yaml"))


def recipe_fields() -> dict[str, dict[str, str]]:
    """Return the fields of both dataclasses of a recipe, each with its default as Python code.

    Raises:
        ModuleNotFoundError: transformers is not installed.

    Example:

    ```python
    >>> recipe_fields()["RecipeArguments"]["lora_rank"]
    '16'
    ```
    """
    recipe, trainer = (_parse(Path(__file__).with_name(name)) for name in ("recipe.py", "trainer_arguments.py"))
    found = importlib.util.find_spec("transformers")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'transformers'", name="transformers")
    library = Path(found.submodule_search_locations[0])
    return {
        "RecipeArguments": _class_fields(recipe, "RecipeArguments"),
        "FlorenzTrainingArguments": {
            **_class_fields(_parse(library / "training_args.py"), "TrainingArguments"),
            **_class_fields(_parse(library / "training_args_seq2seq.py"), "Seq2SeqTrainingArguments"),
            **_class_fields(trainer, "FlorenzTrainingArguments"),
        },
    }


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _class_fields(module: ast.Module, name: str) -> dict[str, str]:
    [body] = [node.body for node in module.body if isinstance(node, ast.ClassDef) and node.name == name]
    names = _assigned(body)
    fields = {}
    for entry in body:
        if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name) and entry.value is not None:
            options = _field_options(entry.value)
            if options.get("init") != "False":
                fields[entry.target.id] = names.get(options["default"], options["default"])
    return fields


def _field_options(value: ast.expr) -> dict[str, str]:
    if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "field"):
        return {"default": ast.unparse(value)}
    options = {}
    for keyword in value.keywords:
        if keyword.arg == "default_factory":
            made = keyword.value.body if isinstance(keyword.value, ast.Lambda) else ast.Call(keyword.value, [], [])
            options["default"] = {"list()": "[]", "dict()": "{}"}.get(ast.unparse(made), ast.unparse(made))
        elif keyword.arg in ("default", "init"):
            options[keyword.arg] = ast.unparse(keyword.value)
    return options


def _assigned(body: list[ast.stmt]) -> dict[str, str]:
    """Map names that a class sets beside its fields to their values, the last one where branches differ."""
    names: dict[str, str] = {}
    for statement in body:
        if isinstance(statement, ast.If):
            names |= _assigned(statement.body)
        elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            names[statement.targets[0].id] = ast.unparse(statement.value)
    return names
