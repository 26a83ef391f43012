"""How a command of the operator's reaches the gateway that runs: by its admin listener."""

from __future__ import annotations

import http.client
import json
import sys
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from .configuration import require_config

# The gateway answers at once, or not at all.
TIMEOUT = 30.0

# Where a listener that is bound to every address of the machine is asked.
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}

AdminAddress = Annotated[
    str,
    typer.Option("--admin", metavar="HOST:PORT", help="The admin listener, if the configuration is not to be read."),
]


AdminToken = Annotated[
    str,
    typer.Option(
        "--token",
        envvar="PUSHGATE_ADMIN_TOKEN",
        metavar="TOKEN",
        help="server.admin.token of a gateway on another machine; better by the variable, which others do not see.",
    ),
]


@dataclass(frozen=True, slots=True)
class Told:
    """What the gateway answered."""

    status: int
    text: str

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True, slots=True)
class Reach:
    """Where the admin listener is, and what it takes to be listened to there."""

    host: str
    port: int
    token: str = field(default="", repr=False)


def find_admin(file: str, admin: str, token: str) -> Reach:
    """
    Return how to reach the admin listener, from ``--admin`` or the configuration; exits if that does not tell.

    On this machine no token is needed. The file's would be the wrong one there, if a reload is what it waits for.
    """
    from ..adapters.admin.operators import is_local
    from ..config.server import is_bearer

    if token and not is_bearer(token):
        raise typer.BadParameter("holds what no Authorization header can carry", param_hint="--token")
    if admin:
        host, _, port = admin.rpartition(":")
        if not port.isdecimal():
            raise typer.BadParameter(f"{admin}: write it like 127.0.0.1:8081", param_hint="--admin")
        return Reach(host.strip("[]") or "127.0.0.1", int(port), token)
    settings = require_config(file).server.admin
    host = _LOOPBACK.get(settings.listen.host, settings.listen.host) or "127.0.0.1"
    if not token and settings.token is not None and not (is_local(host) or host == "localhost"):
        token = settings.token.get_secret_value()
    return Reach(host, settings.listen.port, token)


def tell_gateway(method: str, path: str, *, file: str, admin: str, token: str) -> Told:
    """Ask the admin listener for something that changes something; says why and exits with 1 if nobody answers."""
    reach = find_admin(file, admin, token)
    host, port = reach.host, reach.port
    headers = {"Pushgate-Admin": "1"} | ({"Authorization": f"Bearer {reach.token}"} if reach.token else {})
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return Told(answer.status, answer.read().decode("utf-8", "replace"))
    except (OSError, UnicodeError, http.client.HTTPException) as error:  # UnicodeError: no name of a host
        print(f"pushgate: no gateway answers on {host}:{port}: {error or type(error).__name__}", file=sys.stderr)
        raise typer.Exit(1) from None
    finally:
        connection.close()
