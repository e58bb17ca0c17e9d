"""`tncompile data`: what data sets there are, and how one gets, prepares and verifies them."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from tncompile.cli.guard import guarded, interruptible

data_app = typer.Typer(
    help="List, describe, fetch, prepare and verify data sets.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The data set.", show_default=False)]
Root = Annotated[
    Path | None,
    typer.Option("--root", metavar="DIR", help="Folder of the files. [default: where experiments look for them]"),
]
FetchRoot = Annotated[
    Path | None,
    typer.Option("--root", metavar="DIR", help="Folder of all data sets. [default: TNCOMPILE_DATA, or the cache]"),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=V", help="Sets a key of the experiment's data; may be repeated."),
]
Json = Annotated[bool, typer.Option("--json", help="Results as JSON on stdout; text for people goes to stderr.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only results and errors.")]


@data_app.command(name="list")
@guarded
def list_(root: Root = None, as_json: Json = False, quiet: Quiet = False) -> None:
    """Say which data sets there are, and which of them are found."""
    from tncompile.data.manage import list_datasets

    _show({"datasets": list_datasets(root)}, as_json, quiet)


@data_app.command()
@guarded
def info(name: Name, root: Root = None, overrides: Set = None, as_json: Json = False, quiet: Quiet = False) -> None:
    """Say what a data set is: shape, classes, splits, files, options, licence, and how to get it."""
    from tncompile.data.manage import data_config, describe

    _show(describe(data_config(name, root, overrides or [])), as_json, quiet)


@data_app.command()
@guarded
def prepare(name: Name, root: Root = None, overrides: Set = None, as_json: Json = False, quiet: Quiet = False) -> None:
    """Read a data set's files once, and keep its images so that they load in a moment."""
    from tncompile.data.manage import data_config, prepare

    config = data_config(name, root, overrides or [])
    with interruptible(lambda: "nothing was written; prepare again"), _terminal(quiet) as terminal:
        figures = prepare(config, terminal)
    _show(figures, as_json, quiet)


@data_app.command()
@guarded
def fetch(
    name: Name, root: FetchRoot = None, overrides: Set = None, as_json: Json = False, quiet: Quiet = False
) -> None:
    """Download a data set that anybody may get, check it, and unpack it."""
    from tncompile.data.fetch import fetch
    from tncompile.data.manage import data_config

    config = data_config(name, root, overrides or [])
    given = ["tncompile", "data", "fetch", name, *(["--root", str(root)] if root is not None else [])]
    again = shlex.join([*given, *(part for override in overrides or [] for part in ("--set", override))])
    with interruptible(lambda: f"what came is kept; go on with: {again}"), _terminal(quiet) as terminal:
        figures = fetch(config, terminal)
    _show(figures, as_json, quiet)


@data_app.command()
@guarded
def verify(name: Name, root: Root = None, overrides: Set = None, as_json: Json = False, quiet: Quiet = False) -> None:
    """Check a data set's files, counts, classes, and that nothing is in two parts."""
    from tncompile.data.manage import check_verdicts, data_config, verify_dataset

    config = data_config(name, root, overrides or [])
    with interruptible(lambda: "nothing was changed"), _terminal(quiet) as terminal:
        rows = verify_dataset(config, terminal)
    _show({"name": name, "checks": rows}, as_json, quiet)
    check_verdicts(name, rows)


def _terminal(quiet: bool) -> Any:
    from tncompile.cli.terminal import terminal

    return terminal(quiet)


def _show(found: dict[str, Any], as_json: bool, quiet: bool) -> None:
    """Prints what a command found, as JSON, for people, or both."""
    from tncompile.report.tables import print_inspection

    if as_json:
        print(json.dumps(found, indent=2), flush=True)
    if not (quiet and as_json):
        print_inspection(found, to_stderr=as_json)
