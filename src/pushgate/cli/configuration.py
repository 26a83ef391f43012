"""The ``-c`` that many commands have: where gateway.yaml is, and how it is read."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..config import Gateway
    from ..config.auth import BasicAuth
    from ..config.original import Original

STDIN = "-"

# Where the configuration is, unless the command line says so.
VARIABLE = "PUSHGATE_CONFIG"

ConfigFile = Annotated[
    str,
    typer.Option("--config", "-c", metavar="FILE", envvar=VARIABLE, help="The configuration; - reads standard input."),
]


def load_config(file: str) -> Gateway:
    """Return the Gateway of the file that ``-c`` names; raises ConfigError."""
    from ..config import load, parse

    if file == STDIN:
        gateway = parse(sys.stdin.buffer.read(), file="<stdin>", environ=os.environ, base=Path.cwd())
    else:
        gateway = load(Path(file), environ=os.environ)
    _check_surroundings(gateway)
    return gateway


def original(file: str) -> Original | None:
    """Return where the configuration can be read from again and again; None if that is impossible, as with a pipe."""
    from ..config.original import Original

    is_read_once = file == STDIN or Path(file).is_fifo()
    return None if is_read_once else Original(Path(file), environ=os.environ, check=_check_surroundings)


def _check_surroundings(gateway: Gateway) -> None:
    """Raise ConfigError if a route's format needs what is not installed, or an htpasswd file cannot be used."""
    from ..adapters.upstream.formats import missing_library
    from ..config.finding import Finding
    from ..errors import ConfigError

    report = gateway.origin.blank()
    for path, route in gateway.routes.items():
        if missing := missing_library(route.format):
            report.add_finding(Finding(("routes", path, "format"), missing))
    for name, auth in gateway.auth.items():
        if auth.kind == "basic" and (message := _complaint(auth)):
            report.add_finding(Finding(("auth", name, "htpasswd"), message))
    if problems := report.problems():
        raise ConfigError(problems)


def _complaint(auth: BasicAuth) -> str | None:
    from ..auth.basic import complaint  # brings every kind of hash along

    return complaint(auth)


def require_config(file: str, source: Original | None = None) -> Gateway:
    """
    Return the Gateway, or say on standard error what is wrong with it and exit with 1.

    ``source``: what will be read again when it changes, and so has to know what was read now.
    """
    from ..errors import ConfigError

    try:
        return load_config(file) if source is None else source.read()
    except ConfigError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
