"""YAML as experiments are written in: the core schema of YAML 1.2, without its traps.

`1e-3` is a number, `no` and `on` are strings, only `true` and `false` are booleans. A key that stands twice, an
alias and a tag are errors. There are no dates, no infinities and no merge keys.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tncompile.errors import ConfigError

MAX_BYTES = 1_000_000
"""Largest YAML file that is read [B]."""

KeyPath = tuple[str | int, ...]
"""Keys and list positions from the top of a document to one value."""

_CORE = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
}
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Document:
    """Values read from YAML, and where each of them stands.

    Attributes:
        values: mappings, lists, strings, numbers, booleans and None.
        places: `file:line` of every value, by its path.
    """

    values: Any
    places: dict[KeyPath, str]


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict = {}  # noqa: RUF012  # filled below; PyYAML's own are YAML 1.1

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[union-attr]
            raise yaml.MarkedYAMLError(problem="aliases are not supported; write the value out", problem_mark=mark)
        return super().compose_node(parent, index)


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict = {}  # noqa: RUF012


for _kind, (_pattern, _first) in _CORE.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_TAG + _kind, re.compile(f"(?:{_pattern})\\Z"), _first)


def load_yaml(path: str | Path) -> Document:
    """Returns the content of a YAML file.

    Raises:
        ConfigError: the file is missing, cannot be read, too large, or not valid YAML; with file and line.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}; check the path") from error
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path}: is larger than {MAX_BYTES} bytes; name a YAML file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start}); name a YAML file") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str, *, lines: bool = True) -> Document:
    """Returns the content of a YAML text.

    Args:
        text: one document.
        name: of the file or option, for messages.
        lines: whether places carry line numbers.

    Raises:
        ConfigError: not valid YAML; with name and line.

    >>> parse_yaml("{rate: 1e-3, answer: no}", "example").values
    {'rate': 0.001, 'answer': 'no'}
    """
    places: dict[KeyPath, str] = {}

    def place(mark: Any) -> str:
        return f"{name}:{mark.line + 1}" if lines and mark is not None else name

    def convert(node: yaml.Node, path: KeyPath) -> Any:
        places.setdefault(path, place(node.start_mark))
        kind = node.tag.removeprefix(_TAG)
        match node:
            case yaml.MappingNode() if kind == "map":
                return convert_mapping(node, path)
            case yaml.SequenceNode() if kind == "seq":
                return [convert(item, (*path, i)) for i, item in enumerate(node.value)]
            case yaml.ScalarNode() if kind in ("str", *_CORE):
                try:
                    return _scalar(kind, node.value)
                except ValueError as error:
                    raise ConfigError(f"{place(node.start_mark)}: {node.value[:40]!r}: {error}") from error
        raise ConfigError(f"{place(node.start_mark)}: tag {node.tag} is not supported; leave it out")

    def convert_mapping(node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = convert(key_node, ())
            here = place(key_node.start_mark)
            if not isinstance(key, str):
                raise ConfigError(f"{here}: key {key!r} is not a string; put it in quotes")
            if key in values:
                raise ConfigError(f"{here}: key {_dotted((*path, key))!r} stands twice; remove one")
            places[(*path, key)] = here
            values[key] = convert(value_node, (*path, key))
        return values

    try:
        node = _Loader(text).get_single_node()
        return Document(None if node is None else convert(node, ()), places)
    except yaml.MarkedYAMLError as error:
        problem = ", ".join(filter(None, (error.context, error.problem)))
        raise ConfigError(f"{place(error.problem_mark)}: is not valid YAML: {problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: is not valid YAML: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise ConfigError(f"{name}: is nested too deeply") from error


def dump_yaml(values: Mapping[str, Any]) -> str:
    """Returns values as YAML that `parse_yaml` reads back as they were."""
    return yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=100)


def _scalar(kind: str, text: str) -> Any:
    match kind:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        case "float":
            if text.lstrip("-+.").isalpha():
                raise ValueError("is no finite number; write one")
            if not math.isfinite(value := float(text)):
                raise ValueError("is too large for a number")
            return value
        case _:
            return text


def _dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))
