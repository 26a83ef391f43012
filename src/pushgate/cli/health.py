"""
``pushgate health``: how it is listed and described among the other commands.

What it does is in ``healthcheck.py``, which does not need all this (``__main__.py``).
"""

from __future__ import annotations

from typing import Annotated

import typer

from ..healthcheck import TIMEOUT, Misused, Unhealthy, check, seconds
from .configuration import ConfigFile
from .operator import AdminAddress
from .progress import Progress


def health(
    file: ConfigFile = "gateway.yaml",
    admin: AdminAddress = "",
    live: Annotated[bool, typer.Option("--live", help="Ask whether it lives, which it does while it drains.")] = False,
    timeout: Annotated[str, typer.Option("--timeout", metavar="DURATION", help="How long to wait.")] = f"{TIMEOUT:g}s",
) -> None:
    """
    Ask the gateway of this machine whether it is ready.

    The exit status is 1, and the reason is told, if it is not. For Docker's HEALTHCHECK and for exec probes, where
    nothing can ask by HTTP. With --admin the configuration is not read, which takes half of the time.

        pushgate health
        pushgate health --live --admin 127.0.0.1:8081 --timeout 2s
    """
    try:
        with Progress().during("waiting for the gateway"):
            told = check(file, admin, is_live=live, timeout=seconds(timeout))
    except Misused as error:
        raise typer.BadParameter(str(error)) from None
    except Unhealthy as error:
        typer.echo(f"pushgate: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(told)
