"""``pushgate drain``: have the clients of the gateway that runs on this machine leave."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from .arguments import Output
from .configuration import ConfigFile
from .operator import AdminAddress, AdminToken, demand, find_admin


def drain(
    file: ConfigFile = "gateway.yaml",
    undo: Annotated[bool, typer.Option("--undo", help="Let clients in again, and keep those still here.")] = False,
    output: Output = "text",
    admin: AdminAddress = "",
    token: AdminToken = "",
) -> None:
    """
    Ask all clients to leave, and let none in that stays.

    They leave over server.drain.window, and are told when to come back; the process goes on, so a preStop hook may do
    this. Readiness is withdrawn meanwhile.

        pushgate drain
        pushgate drain --undo

        # of a gateway elsewhere; the token is server.admin.token
        PUSHGATE_ADMIN_TOKEN=s3cr3t pushgate drain --admin gateway.internal:8081
    """
    told = demand(find_admin(file, admin, token), "DELETE" if undo else "POST", "/-/drain", "connections")
    words = f"{'let in again' if undo else 'leaving'}: {told['connections']} connections"
    print(json.dumps(told) if output == "json" else words)
