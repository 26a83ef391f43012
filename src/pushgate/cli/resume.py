"""``pushgate resume``: have the running gateway poll again what was paused."""

from __future__ import annotations

from typing import Annotated

import typer

from .arguments import Output
from .configuration import ConfigFile
from .operator import AdminAddress, AdminToken, demand, find_admin
from .pause import Named, show, switch_path


def resume(
    names: Named = None,
    everything: Annotated[bool, typer.Option("--all", help="Whatever is paused.")] = False,
    file: ConfigFile = "gateway.yaml",
    output: Output = "text",
    admin: AdminAddress = "",
    token: AdminToken = "",
) -> None:
    """
    Poll again what was paused by an operator.

    What is overdue is polled at once, within its budget. What is still paused is told.

        pushgate resume '/quotes/{symbol}' legacy
        pushgate resume --all
    """
    if everything == bool(names):
        raise typer.BadParameter("name routes or upstreams, or say --all", param_hint="NAMES")
    reach = find_admin(file, admin, token)
    told = demand(reach, "GET", "/-/pause", "paused")
    for name in names or [*told["paused"]["routes"], *told["paused"]["upstreams"]]:
        told = demand(reach, "POST", switch_path("resume", name), "paused")
    show(told, output)
