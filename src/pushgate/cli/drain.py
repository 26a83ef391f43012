"""``pushgate drain``: have the clients of the gateway that runs on this machine leave."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .configuration import ConfigFile
from .operator import AdminAddress, AdminToken, tell_gateway


def drain(
    file: ConfigFile = "gateway.yaml",
    undo: Annotated[bool, typer.Option("--undo", help="Let clients in again, and keep those still here.")] = False,
    admin: AdminAddress = "",
    token: AdminToken = "",
) -> None:
    """Ask all clients to leave over server.drain.window, and let none in that stays; the process goes on."""
    told = tell_gateway("DELETE" if undo else "POST", "/-/drain", file=file, admin=admin, token=token)
    if not told.is_ok:
        print(f"pushgate: {told.text.strip()}", file=sys.stderr)
        raise typer.Exit(1)
    print(f"{'let in again' if undo else 'leaving'}: {told.json()['connections']} connections")
