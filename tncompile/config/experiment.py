"""An experiment: everything that a run depends on, in one YAML file."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, Field, ValidationError

from tncompile.arch import TRUENORTH, ChipArch
from tncompile.config.base import Config
from tncompile.config.data import DataConfig
from tncompile.config.energy import EnergyConfig
from tncompile.config.net import NetConfig
from tncompile.config.train import TrainConfig
from tncompile.config.yaml import KeyPath, dump_yaml, load_yaml, parse_yaml
from tncompile.errors import ConfigError

M = TypeVar("M", bound=BaseModel)


class SimulateConfig(Config):
    """How the chip image is simulated."""

    frames: int | None = Field(default=None, ge=1, description="test images to simulate; left out: all")
    engine: str = Field(
        default="auto", min_length=1, description="simulator; auto: by looking at the image, the frames and the machine"
    )
    streams: int | None = Field(
        default=None,
        ge=1,
        description="copies of the chip that are simulated side by side, each with its share of the frames; left out: "
        "as many as suit the frames",
    )
    devices: int = Field(default=1, ge=1, description="devices that share the simulation, with engine packed")
    split: Literal["streams", "cores"] = Field(default="streams", description="what is dealt to the devices")


class Experiment(Config):
    """One experiment."""

    name: str = Field(default="", max_length=100, description="left out: the file's name")
    seed: int = Field(
        default=0, ge=0, lt=1 << 32, description="of everything random: weights, permutations, shuffling, passes"
    )
    data: DataConfig = Field(description="images")
    arch: ChipArch = Field(default=TRUENORTH, description="the chip; left out: one TrueNorth chip")
    net: NetConfig = Field(description="the network")
    train: TrainConfig = Field(default=TrainConfig(), description="training")
    compile: dict[str, dict[str, Any]] = Field(default={}, description="options of the passes, by the pass's name")
    simulate: SimulateConfig = Field(default=SimulateConfig(), description="simulation")
    energy: EnergyConfig = Field(
        default=EnergyConfig(), description="power and speed of the chip, from that simulation"
    )


def load_experiment(
    path: str | Path,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    *,
    varied: Mapping[str, Any] = MappingProxyType({}),
    origin: str = "--grid",
) -> Experiment:
    """Returns the experiment in a YAML file.

    Args:
        path: the file.
        overrides: `a.b=v` each: key path and value in YAML, set over what the file says, in this order.
        seed: in place of the experiment's.
        varied: values by key path, set over all of these: what makes the experiment one of several.
        origin: where `varied` comes from, for messages.

    Raises:
        ConfigError: the file cannot be read or is not valid; names all wrong keys, with file and line.
    """
    document = load_yaml(path)
    if not isinstance(document.values, dict):
        raise ConfigError(f"{path}: must be a mapping of keys to values, is {_described(document.values)}")
    for override in overrides:
        set_key(document.values, document.places, override)
    if seed is not None:
        set_key(document.values, document.places, f"seed={seed}")
    for key, value in varied.items():
        _put(document.values, document.places, tuple(key.split(".")), value, f"{origin} {key}={_short(value)}")
    document.values.setdefault("name", Path(path).stem)
    return parse_config(Experiment, document.values, "", document.places)


def resolved(experiment: Experiment) -> dict[str, Any]:
    """Returns the experiment with all defaults filled in, as JSON data."""
    return experiment.model_dump(mode="json")


def dump_experiment(experiment: Experiment) -> str:
    """Returns the experiment as YAML that loads back equal, with all defaults filled in."""
    return dump_yaml(resolved(experiment))


def parse_config(
    model: type[M], values: Mapping[str, Any], where: str, places: Mapping[KeyPath, str] | None = None
) -> M:
    """Returns a model of values as they come from YAML.

    Values are checked as JSON is: strictly, but a list may stand for a tuple and an integer for a float.

    Args:
        model: its class.
        values: what the user gave.
        where: key path of these values, in front of keys in messages.
        places: file and line by key path.

    Raises:
        ConfigError: unknown keys, wrong types, values out of range; all of them, a line each.
    """
    try:
        return model.model_validate_json(json.dumps(values))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
    raise ConfigError("\n".join(_problem(model, p["loc"], p, where, places or {}) for p in problems))


def _problem(
    model: type[BaseModel], loc: KeyPath, problem: Mapping[str, Any], where: str, places: Mapping[KeyPath, str]
) -> str:
    """Returns one line about one of pydantic's errors."""
    place = next((places[loc[:n]] for n in range(len(loc), -1, -1) if loc[:n] in places), None)
    key = ".".join(map(str, (*filter(None, [where]), *loc)))
    head = ": ".join(filter(None, (place, key)))
    match problem["type"]:
        case "extra_forbidden":
            return f"{head}: unknown key; {_suggestion(str(loc[-1]), _keys(model, loc[:-1]))}"
        case "missing":
            return f"{head}: is missing; this key is required"
        case "value_error":
            return f"{head}: {problem['msg'].removeprefix('Value error, ')}"
        case _:
            expected = problem["msg"].removeprefix("Input should be ").replace("an object", "a mapping")
            expected = expected.replace("a valid array", "a list")
            return f"{head}: is {_described(problem['input'])}, expected {expected}"


def _suggestion(key: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else f"the keys here are {', '.join(known)}"


def _keys(model: type[BaseModel], loc: KeyPath) -> list[str]:
    """Returns the keys that are known at a place within a model."""
    for part in loc:
        if part in model.model_fields:
            model = _model_in(model.model_fields[str(part)].annotation) or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Returns the model that a declared type is, or holds as the item of a list or one of several choices."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def _described(value: Any) -> str:
    """Returns a value given in YAML and its type, in YAML's words."""
    names = {
        bool: "a boolean",
        int: "an integer",
        float: "a number",
        str: "a string",
        list: "a list",
        dict: "a mapping",
    }
    if value is None:
        return "empty"
    return f"{_short(value)} ({names[type(value)]})"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def set_key(values: dict[str, Any], places: dict[KeyPath, str], override: str) -> None:
    """Sets one `a.b=v` of the command line.

    Args:
        values: as they come from YAML; changed.
        places: where each is from, by key path; changed.
        override: key path and value in YAML.

    Raises:
        ConfigError: it is no such thing, or leads through what is no mapping.
    """
    name = f"--set {override}"
    path, equals, text = override.partition("=")
    keys = tuple(key.strip() for key in path.split("."))
    if not equals or not all(keys):
        raise ConfigError(f"{name}: must be KEY=VALUE or KEY.KEY=VALUE, for example train.epochs=5")
    document = parse_yaml(text, name, lines=False)
    _put(values, places, keys, document.values, name)
    for inner, place in document.places.items():
        places[keys + inner] = place


def _put(values: dict[str, Any], places: dict[KeyPath, str], keys: Sequence[str], value: Any, name: str) -> None:
    """Sets a key to a value that comes from an option of some name.

    Raises:
        ConfigError: the key leads through what is no mapping.
    """
    keys = tuple(keys)
    parent: Any = values
    for depth, key in enumerate(keys[:-1]):
        places.setdefault(keys[: depth + 1], name)
        parent = parent.setdefault(key, {})
        if not isinstance(parent, dict):
            raise ConfigError(
                f"{name}: {'.'.join(keys[: depth + 1])} is {_described(parent)}, not a mapping; set it as a whole"
            )
    parent[keys[-1]] = value
    for inner in [p for p in places if p[: len(keys)] == keys]:
        del places[inner]
    places[keys] = name
