"""
The ``pushgate`` command: one file for each of its own commands.

Exit status: 0 all is well, 1 it is not, 2 the command line is wrong. What a command needs it imports when it runs, so
that ``pushgate version`` does not wait for an HTTP stack.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from io import TextIOWrapper

import typer

from .check import check
from .config import config
from .drain import drain
from .health import health
from .init import init
from .manual import Contents, Page
from .pause import pause
from .plan import plan
from .probe import probe
from .refresh import refresh
from .reload import reload
from .replay import replay
from .resume import resume
from .run import run
from .schema import schema
from .tail import tail
from .ticket import ticket
from .token import token
from .topics import topics
from .try_ import try_
from .version import version

app = typer.Typer(
    name="pushgate",
    cls=Contents,
    help="Polls HTTP backends that nobody can change, and pushes what changed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# Commands by what they are for, in the order in which one needs them.
COMMANDS: dict[str, list[Callable[..., None]]] = {
    "Writing a configuration": [init, probe, check, config, schema, plan],
    "Running it": [run, version],
    "Trying it out": [try_, replay, tail, token, ticket],
    "Looking after a gateway that runs": [health, topics, refresh, pause, resume, reload, drain],
}
for purpose, commands in COMMANDS.items():
    for command in commands:
        app.command(command.__name__.rstrip("_"), cls=Page, rich_help_panel=purpose)(command)


def main() -> None:
    """Run the command line of this process; ends with SystemExit."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # what a terminal does not know is written out
    try:
        app(prog_name="pushgate", color=False if os.environ.get("NO_COLOR") else None)
    except BaseExceptionGroup as group:
        if group.split(BrokenPipeError)[1] is not None:
            raise
        # Whoever read has left, while a task was printing; where no task does, the library sees to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left in its buffer
        sys.exit(1)
