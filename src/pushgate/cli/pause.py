"""``pushgate pause``: have the running gateway leave a route or a whole upstream alone."""

from __future__ import annotations

import json
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from .arguments import Output
from .completion import complete_pausable
from .configuration import ConfigFile
from .operator import AdminAddress, AdminToken, demand, find_admin
from .paint import legible

Named = Annotated[
    list[str] | None,
    typer.Argument(help="Routes, which begin with /, and upstreams.", autocompletion=complete_pausable),
]


def pause(
    names: Named = None,
    file: ConfigFile = "gateway.yaml",
    output: Output = "text",
    admin: AdminAddress = "",
    token: AdminToken = "",
) -> None:
    """
    Stop polling a route, or leave an upstream alone altogether.

    Clients stay and keep the last document; its state is `paused`. While an upstream is paused, no request of this
    gateway reaches it: no poll, no write, nothing of the proxy, no login. It lasts until `pushgate resume` or a
    restart, also over a reload. Without a name, what is paused is told.

        pushgate pause
        pushgate pause '/quotes/{symbol}'

        # its owner has called
        pushgate pause legacy
    """
    reach = find_admin(file, admin, token)
    requests = [("POST", switch_path("pause", name)) for name in names or []] or [("GET", "/-/pause")]
    told = [demand(reach, method, path, "paused") for method, path in requests]
    show(told[-1], output)


def switch_path(verb: str, name: str) -> str:
    """Return where a route or an upstream is paused or resumed: a route begins with a slash, an upstream does not."""
    return f"/-/{verb}?{urlencode({'route' if name.startswith('/') else 'upstream': name})}"


def show(told: dict[str, Any], output: str) -> None:
    """Print what is paused."""
    if output == "json":
        print(json.dumps(told, ensure_ascii=False, indent=2))
        return
    paused = told["paused"]
    kinds = [(kind, paused[kind]) for kind in ("routes", "upstreams") if paused[kind]]
    words = "; ".join(f"{kind} {', '.join(names)}" for kind, names in kinds)
    print(legible(f"paused: {words}" if words else "nothing is paused"))
