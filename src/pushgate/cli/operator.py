"""How a command of the operator's reaches the gateway that runs: by its admin listener."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from ..healthcheck import Misused, address_of, asked_at
from .configuration import require_config
from .paint import legible
from .progress import Progress

# The gateway answers at once, or not at all; to check a large configuration takes a while.
TIMEOUT = 30.0

_GATEWAY = "Which gateway"

AdminAddress = Annotated[
    str,
    typer.Option(
        "--admin",
        envvar="PUSHGATE_ADMIN",
        metavar="HOST:PORT",
        help="Its admin listener, if the configuration is not to be read.",
        rich_help_panel=_GATEWAY,
    ),
]

AdminToken = Annotated[
    str,
    typer.Option(
        "--token",
        envvar="PUSHGATE_ADMIN_TOKEN",
        metavar="TOKEN",
        help="server.admin.token, if it is on another machine; better by the variable, which others do not see.",
        rich_help_panel=_GATEWAY,
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

    def json(self, member: str) -> Any:
        """Return the answer, which has this member; says so and exits with 1 if it is none of an admin listener's."""
        with suppress(ValueError):
            told = json.loads(self.text)
            if isinstance(told, dict) and member in told:
                return told
        print("pushgate: what answers there is no admin listener", file=sys.stderr)
        raise typer.Exit(1)

    @property
    def complaint(self) -> str | None:
        """What a problem document says (RFC 9457); None if it is none."""
        try:
            return str(json.loads(self.text)["detail"])
        except (ValueError, KeyError, TypeError):
            return None


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
    if token:
        _check_token(token)
    if admin:
        try:
            return Reach(*address_of(admin), token)
        except Misused as error:
            raise typer.BadParameter(str(error), param_hint="--admin") from None
    from ..adapters.admin.operators import is_local

    settings = require_config(file).server.admin
    host = asked_at(settings.listen.host)
    if not token and settings.token is not None and not (is_local(host) or host == "localhost"):
        token = settings.token.get_secret_value()
    return Reach(host, settings.listen.port, token)


def _check_token(token: str) -> None:
    from ..config.server import is_bearer

    if not is_bearer(token):
        raise typer.BadParameter("holds what no Authorization header can carry", param_hint="--token")


def tell_gateway(method: str, path: str, *, file: str, admin: str, token: str) -> Told:
    """Ask the admin listener for something; says why and exits with 1 if nobody answers."""
    return tell(find_admin(file, admin, token), method, path)


def tell(reach: Reach, method: str, path: str) -> Told:
    """Ask the admin listener that was found; says why and exits with 1 if nobody answers."""
    import http.client

    host, port = reach.host, reach.port
    headers = {"Pushgate-Admin": "1"} | ({"Authorization": f"Bearer {reach.token}"} if reach.token else {})
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        with Progress().during(f"waiting for the gateway on {host}:{port}"):
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return Told(answer.status, answer.read().decode("utf-8", "replace"))
    except (OSError, UnicodeError, http.client.HTTPException) as error:  # UnicodeError: no name of a host
        print(f"pushgate: no gateway answers on {host}:{port}: {error or type(error).__name__}", file=sys.stderr)
        raise typer.Exit(1) from None
    finally:
        connection.close()


def demand(reach: Reach, method: str, path: str, member: str) -> Any:
    """Return what the gateway answers, as JSON with this member; says why and exits with 1 if it refuses."""
    told = tell(reach, method, path)
    if not told.is_ok:
        print(legible(f"pushgate: {told.complaint or told.text.strip()}"), file=sys.stderr)
        raise typer.Exit(1)
    return told.json(member)
