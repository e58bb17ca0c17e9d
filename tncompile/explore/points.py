"""The points of a sweep: which keys of an experiment take which values together."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tncompile.config.experiment import Experiment, load_experiment, resolved
from tncompile.config.yaml import load_yaml, parse_yaml
from tncompile.errors import ConfigError

MAX_POINTS = 4096
"""Most points of a sweep: more are a slip, such as a product of one --grid too many."""

_SLUG = 60
"""Longest readable part of a point's name [character]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One choice of values.

    Attributes:
        values: value by key path, `a.b`; a key that is not here has the experiment's own value.
        origin: the option, or file and line, that it comes from, for messages.
    """

    values: Mapping[str, Any]
    origin: str = "--grid"

    @property
    def label(self) -> str:
        """The choice in words."""
        return ", ".join(f"{key} {text(value)}" for key, value in self.values.items())


def text(value: Any) -> str:
    """Returns a value as people write it in YAML.

    >>> text("S-4 N-8"), text([64, 32]), text(None), text(0.5)
    ('S-4 N-8', '[64, 32]', 'null', '0.5')
    """
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def parse_grid(given: str) -> tuple[str, tuple[Any, ...]]:
    """Returns a key path and the values that it is to take.

    Args:
        given: `KEY=V1,V2,…`; the values are the items of a list in YAML, so commas in brackets or quotes part none.

    Raises:
        ConfigError: it is of another form, or has no value.

    >>> parse_grid("arch.grid=[64, 64],[32, 32]")
    ('arch.grid', ([64, 64], [32, 32]))
    """
    path, equals, values = given.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        raise ConfigError(f"--grid {given}: must be KEY=V1,V2,… or KEY.KEY=V1,V2,…, for example arch.axons=128,256")
    # A comment hides what is behind it, the last bracket too, and it must not: hence on a line of its own as well.
    parsed, _ = (parse_yaml(f"[{values}{end}", f"--grid {given}", lines=False).values for end in ("]", "\n]"))
    if not parsed:
        raise ConfigError(f"--grid {given}: has no value; write one or more, with commas between")
    return ".".join(keys), tuple(parsed)


def grid_points(given: Sequence[str]) -> tuple[Point, ...]:
    """Returns every combination of the values of all `--grid`, those of the last one changing fastest.

    Raises:
        ConfigError: one is of another form, two set the same key, or there are more than `MAX_POINTS` combinations.

    >>> [point.label for point in grid_points(["seed=0,1", "arch.axons=128,256"])][1]
    'seed 0, arch.axons 256'
    """
    axes = [parse_grid(each) for each in given]
    keys = [key for key, _ in axes]
    _check_apart(keys, [f"--grid {key}" for key in keys])
    count = math.prod(len(values) for _, values in axes)
    if count > MAX_POINTS:
        sizes = " x ".join(str(len(values)) for _, values in axes)
        raise ConfigError(
            f"--grid: {sizes} = {count:,} points, at most {MAX_POINTS:,} are taken; leave some values out"
        )
    return tuple(
        Point(values=dict(zip(keys, chosen, strict=True)))
        for chosen in itertools.product(*(values for _, values in axes))
    )


def read_points(path: Path) -> tuple[Point, ...]:
    """Returns the points in a file: CSV with a column for each key, or a list of mappings in YAML.

    An empty cell, like a key that a mapping does not have, leaves the experiment's value. Cells are YAML.

    Raises:
        ConfigError: the file cannot be read, is of another form, has no point, or more than `MAX_POINTS`.
    """
    rows = list(_csv_rows(path) if path.suffix.lower() == ".csv" else _yaml_rows(path))
    for origin, values in rows:
        _check_apart(list(values), [f"{origin}: {key}" for key in values])
    return tuple(Point(values=values, origin=origin) for origin, values in rows)


def _csv_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        content = path.read_bytes().decode("utf-8-sig")
        lines = csv.reader(io.StringIO(content, newline=""), strict=True)
        keys = [key.strip() for key in next(lines, [])]
        if not keys or not all(keys) or len(set(keys)) < len(keys):
            raise ConfigError(
                f"--points {path}: its first line must name each key once, has {', '.join(keys) or 'none'}"
            )
        rows = [(f"{path}:{lines.line_num}", cells) for cells in lines if any(cell.strip() for cell in cells)]
        _check_count(path, len(rows))
        for origin, cells in rows:
            if len(cells) != len(keys):
                raise ConfigError(f"{origin}: has {len(cells)} cells, the first line names {len(keys)} keys")
            texts = {key: cell for key, cell in zip(keys, cells, strict=True) if cell.strip()}
            yield origin, {key: parse_yaml(cell, f"{origin}: {key}", lines=False).values for key, cell in texts.items()}
    except OSError as error:
        raise ConfigError(f"--points {path}: cannot be read: {error.strerror}; check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"--points {path}: is no CSV text ({error})") from error


def _yaml_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    document = load_yaml(path)
    if not isinstance(document.values, list) or not all(isinstance(row, dict) and row for row in document.values):
        raise ConfigError(
            f"--points {path}: must be a list of mappings in YAML, such as '- {{arch.axons: 128, seed: 1}}', or .csv"
        )
    _check_count(path, len(document.values))
    for number, row in enumerate(document.values):
        yield document.places[(number,)], row


def _check_count(path: Path, count: int) -> None:
    if not count:
        raise ConfigError(f"--points {path}: has no point; write one a line")
    if count > MAX_POINTS:
        raise ConfigError(f"--points {path}: has {count:,} points, at most {MAX_POINTS:,} are taken; leave some out")


def _check_apart(keys: Sequence[str], places: Sequence[str]) -> None:
    """Checks that no key sets what another one sets too.

    Raises:
        ConfigError: one does.
    """
    for (one, _), (other, place) in itertools.combinations(zip(keys, places, strict=True), 2):
        shorter, longer = sorted((one, other), key=len)
        if longer == shorter or longer.startswith(f"{shorter}."):
            raise ConfigError(f"{place}: is set by {one} already; name each key once")


def load_points(
    path: Path, points: Sequence[Point], overrides: Sequence[str] = (), seed: int | None = None
) -> tuple[Experiment, ...]:
    """Returns the experiment of each point.

    Args:
        path: the experiment's file.
        points: what varies.
        overrides: `a.b=v` each: keys that all points share.
        seed: that all points share.

    Raises:
        ConfigError: a point is not valid, varies what is set for all, or is the same experiment as another one.
    """
    shared = [override.partition("=")[0] for override in overrides]
    named = [f"--set {key}" for key in shared]
    if seed is not None:
        shared, named = [*shared, "seed"], [*named, "--seed"]
    load_yaml(path)  # what is wrong with the file itself is wrong with no point
    found: dict[str, Point] = {}
    experiments = []
    for point in points:
        for key in point.values:
            for each, option in zip(shared, named, strict=True):
                if each == key or each.startswith(f"{key}.") or key.startswith(f"{each}."):
                    raise ConfigError(f"{option}: {key} is varied by {point.origin}; leave one of the two out")
        try:
            experiment = load_experiment(path, overrides, seed, varied=point.values, origin=point.origin)
        except ConfigError as error:
            raise ConfigError(f"{error} (point {point.label})") from error
        same = found.setdefault(canonical(resolved(experiment)), point)
        if same is not point:
            raise ConfigError(
                f"{point.origin}: point {point.label} is the same experiment as {same.label}; name each value once"
            )
        experiments.append(experiment)
    return tuple(experiments)


def canonical(values: Any) -> str:
    """Returns JSON data as text that is the same for equal data."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def name_of(point: Point, settings: Any) -> str:
    """Returns a name for a point's folder: the choice as far as it is readable, and a digest.

    Args:
        point: the choice.
        settings: JSON data on which the point's results depend; others give another name.

    >>> name_of(Point(values={"arch.axons": 128, "net.layers": ["S-4", "N-8(2)"]}), {})
    'axons-128_layers-S-4-N-8-2_44136fa3'
    """
    parts = (f"{key.rpartition('.')[2]}-{text(value)}" for key, value in point.values.items())
    slug = "_".join(re.sub(r"[^A-Za-z0-9.]+", "-", part).strip("-.") for part in parts)
    return f"{slug[:_SLUG].strip('-_.')}_{hashlib.sha256(canonical(settings).encode()).hexdigest()[:8]}"
