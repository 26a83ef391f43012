"""How a command of the operator's reaches the gateway that runs: by its admin listener, on this machine."""

from __future__ import annotations

import http.client
import json
import sys
from dataclasses import dataclass
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


def admin_address(file: str, admin: str) -> tuple[str, int]:
    """Return host and port of the admin listener, from ``--admin`` or the configuration; exits if there is none."""
    if admin:
        host, _, port = admin.rpartition(":")
        if not port.isdecimal():
            raise typer.BadParameter(f"{admin}: write it like 127.0.0.1:8081", param_hint="--admin")
        host, number = host.strip("[]") or "127.0.0.1", int(port)
    else:
        listen = require_config(file).server.admin.listen
        host, number = listen.host, listen.port
    return _LOOPBACK.get(host, host), number


def tell_gateway(method: str, path: str, *, file: str, admin: str) -> Told:
    """Ask the admin listener for something that changes something; says why and exits with 1 if nobody answers."""
    host, port = admin_address(file, admin)
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        connection.request(method, path, headers={"Pushgate-Admin": "1"})
        answer = connection.getresponse()
        return Told(answer.status, answer.read().decode("utf-8", "replace"))
    except (OSError, UnicodeError, http.client.HTTPException) as error:  # UnicodeError: no name of a host
        print(f"pushgate: no gateway answers on {host}:{port}: {error or type(error).__name__}", file=sys.stderr)
        raise typer.Exit(1) from None
    finally:
        connection.close()
