"""Who may import whom. A pass can be replaced, and a verifier or an engine trusted, only while this holds."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

VOCABULARY = ("ir", "arch", "verify", "errors", "config", "analysis", "native")
"""The parts of tncompile that a pass may import."""

DRIVERS = ("tncompile.pipeline", "tncompile.cli")
"""The modules of tncompile that may import passes."""

FORBIDDEN = {
    # These judge or run what passes make, so they know neither the passes nor those who call them.
    "tncompile.ir": ("passes", *DRIVERS, "tncompile.verify", "tncompile.sim", "tncompile.nn", "tncompile.reference"),
    "tncompile.verify": ("passes", *DRIVERS, "tncompile.sim", "tncompile.reference"),
    "tncompile.reference": ("passes", *DRIVERS, "tncompile.verify"),
    "tncompile.sim": ("passes", *DRIVERS, "tncompile.verify"),
    "tncompile.analysis": ("passes", *DRIVERS, "tncompile.verify", "tncompile.sim", "tncompile.reference"),
    "tncompile.native": ("passes", "tncompile"),
    "tncompile.nn": ("passes", *DRIVERS, "tncompile.verify", "tncompile.sim", "tncompile.reference"),
}


def module_name(path: Path) -> str:
    """Returns the dotted name of a file's module."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(source: str) -> set[str]:
    """Returns the modules that a source imports anywhere, also inside functions; `from a import b` gives a.b too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def within(name: str, package: str) -> bool:
    """Returns whether a dotted name is a package or lies in it."""
    return name == package or name.startswith(f"{package}.")


MODULES = {
    module_name(path): imported(path.read_text(encoding="utf-8"))
    for folder in ("tncompile", "passes")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
PASSES = [name for name in MODULES if within(name, "passes")]


def test_modules_were_found():
    assert {"passes.route", "tncompile.pipeline", "tncompile.sim.packed"} <= MODULES.keys()


def test_imports_are_seen_wherever_they_stand():
    source = "import a.b\ndef f():\n    from c import d\n"
    assert imported(source) == {"a.b", "c", "c.d"}
    assert within("passes.place.anneal", "passes") and not within("passes_of_others", "passes")


@pytest.mark.parametrize("module", PASSES)
def test_passes_import_only_the_vocabulary(module):
    ours = {name for name in MODULES[module] if within(name, "tncompile")} - {"tncompile"}
    assert not {name for name in ours if not any(within(name, f"tncompile.{part}") for part in VOCABULARY)}


def test_only_drivers_import_passes():
    users = {m for m, names in MODULES.items() if within(m, "tncompile") and any(within(n, "passes") for n in names)}
    assert not {user for user in users if not any(within(user, driver) for driver in DRIVERS)}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_forbidden_imports(package):
    for module in filter(lambda name: within(name, package), MODULES):
        assert not {n for n in MODULES[module] for banned in FORBIDDEN[package] if within(n, banned)}, module


@pytest.mark.parametrize("module", ["tncompile.cli.app", "tncompile.verify", "tncompile.ir.io"])
def test_light_modules_import_no_jax(module):
    """`--help` answers at once, and stage files can be checked without JAX, only if these load none of it."""
    code = f"import sys, {module}; sys.exit('jax' in sys.modules or 'flax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0
