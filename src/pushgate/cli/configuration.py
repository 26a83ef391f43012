"""The ``-c`` that many commands have: where gateway.yaml is, and how it is read."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..config import Gateway

STDIN = "-"

ConfigFile = Annotated[
    str, typer.Option("--config", "-c", metavar="FILE", help="The configuration; - reads standard input.")
]


def load_config(file: str) -> Gateway:
    """Return the Gateway of the file that ``-c`` names; raises ConfigError."""
    from ..config import load, parse

    if file == STDIN:
        return parse(sys.stdin.buffer.read(), file="<stdin>", environ=os.environ, base=Path.cwd())
    return load(Path(file), environ=os.environ)


def require_config(file: str) -> Gateway:
    """Return the Gateway, or say on standard error what is wrong with it and exit with 1."""
    from ..errors import ConfigError

    try:
        return load_config(file)
    except ConfigError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
