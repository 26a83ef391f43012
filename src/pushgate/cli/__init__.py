"""
The ``pushgate`` command: one file for each of its own commands.

Exit status: 0 all is well, 1 it is not, 2 the command line is wrong. What a command needs it imports when it runs, so
that ``pushgate version`` does not wait for an HTTP stack.
"""

from __future__ import annotations

import typer

from .check import check
from .config import config
from .drain import drain
from .plan import plan
from .probe import probe
from .reload import reload
from .replay import replay
from .run import run
from .schema import schema
from .try_ import try_
from .version import version

app = typer.Typer(
    name="pushgate",
    help="Polls HTTP backends that nobody can change, and pushes what changed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(run)
app.command()(check)
app.command()(config)
app.command("try")(try_)
app.command()(probe)
app.command()(plan)
app.command()(replay)
app.command()(drain)
app.command()(reload)
app.command()(schema)
app.command()(version)


def main() -> None:
    """Run the command line of this process; ends with SystemExit."""
    app(prog_name="pushgate")
