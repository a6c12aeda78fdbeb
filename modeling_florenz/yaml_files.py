"""Read and write YAML as data: text, numbers, flags, lists and mappings, and nothing in a file can run, hang or swell.

Words mean what YAML 1.2 says: only `true` and `false` are flags, so that `no` is Norwegian and `on` is a word, and
only decimal digits are numbers, so that `1e-4` is one and `1:30` is a text. A key may stand in a mapping once, and
nothing is written once to be meant twice.
"""

import re
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import yaml


MAX_CHARACTERS, MAX_DEPTH = 1 << 18, 32

_TAGS = {
    "null": (r"~|null|Null|NULL|", "~nN", ""),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF", None),
    "int": (r"[-+]?[0-9]+", "-+0123456789", None),
    "float": (r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789", None),
}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}
    yaml_constructors = {}
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()
        place: Any = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "an alias (*) stands for other text", place)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.composer.ComposerError(None, None, f"nested more than {MAX_DEPTH} deep", place)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def mapping(self, node: Any) -> dict[Hashable, Any]:
        values: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, "a key is not text", key_node.start_mark)
            if key in values:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} stands twice", key_node.start_mark)
            values[key] = self.construct_object(value_node, deep=True)
        return values


for _name, (_pattern, _first, _also) in _TAGS.items():
    # Asked in this order, by the first character of a word: what is an int is never a float.
    _tag, _matcher = f"tag:yaml.org,2002:{_name}", re.compile(f"(?:{_pattern})\\Z")
    for _character in [*_first, *([_also] if _also is not None else [])]:
        _Loader.yaml_implicit_resolvers.setdefault(_character, []).append((_tag, _matcher))
_BUILDERS: dict[str | None, Callable[[Any, Any], Any]] = {
    "tag:yaml.org,2002:null": lambda loader, node: None,
    "tag:yaml.org,2002:bool": lambda loader, node: node.value.lower() == "true",
    "tag:yaml.org,2002:int": lambda loader, node: int(node.value),
    "tag:yaml.org,2002:float": lambda loader, node: float(node.value),
    "tag:yaml.org,2002:str": lambda loader, node: loader.construct_scalar(node),
    "tag:yaml.org,2002:seq": lambda loader, node: loader.construct_sequence(node, deep=True),
    "tag:yaml.org,2002:map": lambda loader, node: loader.mapping(node),
    None: lambda loader, node: loader.construct_undefined(node),
}
_Loader.yaml_constructors.update(_BUILDERS)


class _Dumper(yaml.SafeDumper):
    # In quotes stands whatever this reader or an older one takes for something other than text.
    yaml_implicit_resolvers = {
        character: _Loader.yaml_implicit_resolvers.get(character, []) + resolvers
        for character, resolvers in {
            **dict.fromkeys(_Loader.yaml_implicit_resolvers, []),
            **yaml.SafeDumper.yaml_implicit_resolvers,
        }.items()
    }

    def ignore_aliases(self, data: Any) -> bool:
        return True


def parse_yaml(text: str, where: str) -> Any:
    """Read YAML from a text.

    Args:
        text: one document.
        where: what the text is, for the error.

    Raises:
        ValueError: it is not YAML, has an alias, a key twice or a tag, or is too long or too deep.

    Example:

    ```python
    >>> parse_yaml("languages: [no, de]", "the example")
    {'languages': ['no', 'de']}
    ```
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"{where} has {len(text):,} characters: use at most {MAX_CHARACTERS:,}")
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{where} is not YAML: {' '.join(str(error).split())[:300]}") from None


def read_yaml(path: Path) -> Any:
    """Read a YAML file.

    Raises:
        ValueError: the file is not text in UTF-8, or see `parse_yaml`.
    """
    if path.stat().st_size > 4 * MAX_CHARACTERS:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes: use at most {4 * MAX_CHARACTERS:,}")
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not YAML: it is not text in UTF-8 ({error.reason})") from None


def to_yaml(value: Any, sort_keys: bool = False) -> str:
    """Write YAML that `parse_yaml` reads back as the same value: nothing is written as an alias."""
    return yaml.dump(value, Dumper=_Dumper, allow_unicode=True, sort_keys=sort_keys)
