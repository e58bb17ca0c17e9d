"""The reference of all YAML keys, made from the models themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of an experiment.

    Attributes:
        path: with dots; `[]` stands for every item of a list.
        type: in YAML's words, with its bounds.
        default: as YAML, or `required`.
        description: what it means, with units.
    """

    path: str
    type: str
    default: str
    description: str


def keys(model: type[BaseModel], prefix: str = "") -> list[Key]:
    """Returns all keys of a model and the models within it, in the order of the class.

    Args:
        model: the model.
        prefix: path in front of every key, with its dot.
    """
    schema = model.model_json_schema()
    return list(_keys(schema, schema.get("$defs", {}), prefix))


def markdown(model: type[BaseModel], prefix: str = "") -> str:
    """Returns all keys of a model as a Markdown table."""
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key in keys(model, prefix):
        cells = (f"`{key.path}`", key.type, f"`{key.default}`", key.description)
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _keys(schema: Mapping[str, Any], defs: Mapping[str, Any], prefix: str) -> Iterator[Key]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        path = prefix + name
        resolved = _resolve(field, defs)
        options = [_resolve(option, defs) for option in resolved.get("anyOf", [resolved])]
        resolved = next((option for option in options if "properties" in option), resolved)
        default = "required" if name in required else json.dumps(field.get("default"), ensure_ascii=False)
        nested = "properties" in resolved
        yield Key(
            path=path,
            type=_type(field, defs),
            default="see below" if nested and default not in ("required", "null") else default,
            description=field.get("description", ""),
        )
        if nested:
            yield from _keys(resolved, defs, f"{path}.")
        elif "properties" in (item := _resolve(resolved.get("items", {}), defs)):
            yield from _keys(item, defs, f"{path}[].")


def _resolve(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the schema that a reference points to."""
    return defs[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema


def _type(field: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    """Returns a schema's type in YAML's words."""
    schema = _resolve(field, defs)
    if "anyOf" in schema:
        return " or ".join(_type(option, defs) for option in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " or ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    match schema.get("type"):
        case "array" if "prefixItems" in schema:
            return f"[{', '.join(_type(item, defs) for item in schema['prefixItems'])}]"
        case "array":
            return f"list of {_type(schema.get('items', {}), defs)}"
        case "object":
            return "mapping"
        case str() as name:
            bounds = [f"{sign} {schema[bound]}" for bound, sign in _BOUNDS.items() if bound in schema]
            return " ".join([name, ", ".join(bounds)]).rstrip()
        case _:
            return "any"
