"""Partitioning by a function of the user's own."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from operator import attrgetter
from typing import Any, cast

import networkx as nx
import numpy as np
from jaxtyping import Int32

from tncompile.analysis.graph import core_graph
from tncompile.arch import ChipArch
from tncompile.errors import ConfigError
from tncompile.ir import CoreGraph

Partitioner = Callable[[nx.DiGraph, ChipArch], Mapping[int, int]]
"""Returns the chip of each core of a graph as `tncompile.analysis.graph.core_graph` makes it."""

KEY = "compile.partition.algorithm"

_FAILURES = (Exception, SystemExit)  # a function that exits would end the command without a word


def load_partitioner(name: str) -> Partitioner:
    """Returns the function that `module:function` names; the current folder is searched first.

    Raises:
        ConfigError: there is no such module, it fails, or it has no such function.
    """
    module_name, _, path = name.partition(":")
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        with redirect_stdout(sys.stderr):  # stdout is for results
            module = importlib.import_module(module_name)
    except _FAILURES as error:
        absent = isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}.")
        hint = f"; write {module_name}.py in {folder}, or install it" if absent else ""
        raise ConfigError(
            f"{KEY}: {name}: importing {module_name} raised {type(error).__name__}: {error}{hint}"
        ) from error
    finally:
        sys.path.remove(folder)
    try:
        function = attrgetter(path)(module)
    except AttributeError as error:
        raise ConfigError(f"{KEY}: {name}: {module.__file__ or module_name} has no {path}") from error
    if not callable(function):
        raise ConfigError(f"{KEY}: {name}: is {_described(function)}, not a function")
    return cast(Partitioner, function)


def apply_partitioner(
    function: Partitioner, name: str, graph: CoreGraph, arch: ChipArch
) -> Int32[np.ndarray, " cores"]:
    """Returns the chip of each core, as the function says.

    Args:
        function: takes the core graph and the chip, and returns the chip of each core.
        name: of the function, for messages.
        graph: what to partition.
        arch: the chip.

    Raises:
        ConfigError: the function fails, or returns anything but a chip with room for each core.
    """
    try:
        with redirect_stdout(sys.stderr):
            returned = function(core_graph(graph), arch)
        result = dict(returned.items()) if isinstance(returned, Mapping) else None  # a lazy one may fail here, too
    except _FAILURES as error:
        raise ConfigError(f"{KEY}: {name}: raised {type(error).__name__}: {error}") from error
    wanted = f"it must return the chip of each core, a mapping {{core: chip}} of 0 to {graph.cores - 1}"
    if result is None:
        raise ConfigError(f"{KEY}: {name}: returned {_described(returned)}; {wanted}")
    missing = [core for core in range(graph.cores) if core not in result]
    if missing:
        raise ConfigError(
            f"{KEY}: {name}: leaves out {len(missing)} of {graph.cores} cores, first core {missing[0]}; {wanted}"
        )
    if len(result) > graph.cores:
        unknown = next(core for core in result if core not in range(graph.cores))
        raise ConfigError(f"{KEY}: {name}: names core {unknown!r}, which the graph does not have; {wanted}")
    for core in range(graph.cores):
        chip = result[core]
        if isinstance(chip, bool) or not isinstance(chip, int | np.integer) or not 0 <= chip < arch.chips:
            columns, rows = arch.board
            raise ConfigError(
                f"{KEY}: {name}: puts core {core} on chip {chip!r}; the {columns} x {rows} chips of the board are 0 to "
                f"{arch.chips - 1}, chip (x, y) is x + {columns} y"
            )
    dealt = np.array([result[core] for core in range(graph.cores)], np.int32)
    load = np.bincount(dealt, minlength=arch.chips)
    for chip in range(arch.chips):
        if load[chip] > arch.capacity(chip):
            raise ConfigError(
                f"{KEY}: {name}: puts {load[chip]} cores on chip {chip}, which has {arch.capacity(chip)} working ones; "
                "arch.capacity(chip) says how many a chip takes"
            )
    return dealt


def _described(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"
