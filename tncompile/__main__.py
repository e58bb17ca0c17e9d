"""`python -m tncompile` is the command line."""

from tncompile.cli import app

app(prog_name="tncompile")
