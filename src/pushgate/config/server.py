"""``server:`` and ``store:``: where pushgate listens, what it lets in, and where histories are kept."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from ..quantities import Rate, duration_text
from .addresses import Address, BasePath, Listen, Network, Origin, Prefix, RedisUrl
from .hidden import REDACTED
from .scalars import (
    OFF,
    AllowedOrOff,
    Count,
    Duration,
    Flag,
    Limit,
    OptionalSecret,
    PemFile,
    Period,
    PeriodOrOff,
    SizeOrOff,
)
from .section import Names, Section, misplaced

HEARTBEAT_FLOOR = 2.0


def _not_too_often(seconds: float) -> float:
    if seconds < HEARTBEAT_FLOOR:
        raise ValueError(f"{duration_text(seconds)} must be at least {duration_text(HEARTBEAT_FLOOR)}")
    return seconds


# What can be guessed is no proof.
MIN_TOKEN_LENGTH = 16

# What an Authorization header can carry (RFC 6750 section 2.1).
_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*")


def _operator_token(value: SecretStr | None) -> SecretStr | None:
    text = "" if value is None else value.get_secret_value()
    if text not in ("", REDACTED) and not is_bearer(text):
        raise ValueError("holds what no Authorization header can carry; use letters, digits and -._~+/")
    return value


def is_bearer(text: str) -> bool:
    """Whether a text can be presented as a bearer token."""
    return _BEARER.fullmatch(text) is not None


def _hard_to_guess(value: SecretStr | None) -> SecretStr | None:
    text = "" if value is None else value.get_secret_value()
    if text not in ("", REDACTED) and len(text) < MIN_TOKEN_LENGTH:  # what `pushgate config` wrote can be checked again
        raise ValueError(f"is short enough to be guessed; make one of {MIN_TOKEN_LENGTH} characters or more")
    return value


OperatorToken = Annotated[OptionalSecret, AfterValidator(_hard_to_guess), AfterValidator(_operator_token)]


class Admin(Section):
    """The second listener: health, metrics, and what operators do."""

    listen: Listen = Address("127.0.0.1", 8081)
    """Where the admin listener listens; keep it away from the public."""
    token: OperatorToken = None
    """What operators present from elsewhere than loopback, at least 16 characters; probes and metrics are open."""


class ServerTls(Section):
    """A certificate for the public listener; the files are read again when they change."""

    certificate: PemFile
    """PEM file with the certificate and its chain."""
    key: PemFile
    """PEM file with the private key, without a password."""


class Cors(Section):
    """Which web pages of other origins may read."""

    origins: Names[Origin] = ()
    """Origins that may read; `*` is all of them. The gateway's own always may."""
    credentials: Flag = False
    """Whether their requests may carry cookies and Authorization."""
    max_age: Duration = 600.0
    """How long a browser may keep the answer to a preflight."""

    @model_validator(mode="after")
    def _not_open_to_everybody(self) -> Cors:
        if self.credentials and "*" in self.origins:
            raise misplaced("origins", "`*` with credentials lets any web page act for its visitors; list the origins")
        return self


class Limits(Section):
    """How much is let in before clients are told to come back later."""

    connections: Count = 20_000
    """Open connections of clients."""
    accept_rate: AllowedOrOff = Rate(2000, 1.0)
    """New streams and long-polling connections in a while; the others are told when to come back."""
    topics: Count = 10_000
    """Live topics of all routes."""
    memory: SizeOrOff = None
    """Documents and histories together."""
    per_address: Limit = None
    """Open connections of one client address; behind a proxy it needs `trusted_proxies`."""
    per_principal: Limit = None
    """Open connections of one principal."""
    topics_per_principal: Limit = None
    """Live topics for which one principal is the reason: those that it was the first to ask for."""

    @model_serializer(mode="wrap")
    def _write_off(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write ``off`` where it is not the default, although what is absent is left out."""
        written: dict[str, Any] = write(self)
        return written if self.accept_rate is not None else {**written, "accept_rate": OFF}


class Drain(Section):
    """How clients leave when the process is told to end."""

    window: Duration = 20.0
    """The time over which streams are closed, so that clients do not come back all at once."""
    grace: Duration = 5.0
    """How much longer those may take who are still leaving, or waiting for an answer."""


class Poke(Section):
    """Webhooks and jobs that ask for a poll now."""

    secret: Annotated[OptionalSecret, AfterValidator(_hard_to_guess)] = None
    """Signs the requests to `/-/poke`, or is their bearer token; at least 16 characters. Without it there is none."""


class Server(Section):
    """The public listener."""

    listen: Listen = Address("0.0.0.0", 8080)
    """Where clients connect."""
    admin: Admin = Admin()
    """The admin listener."""
    prefix: Prefix = "/-/"
    """Reserved for pushgate's own endpoints."""
    base_path: BasePath = ""
    """The path under which a front proxy serves the gateway."""
    tls: ServerTls | None = None
    """HTTPS on the public listener."""
    trusted_proxies: Names[Network] = ()
    """Networks whose X-Forwarded-For, X-Forwarded-Proto and Forwarded are believed."""
    cors: Cors = Cors()
    """Web pages of other origins."""
    limits: Limits = Limits()
    """What is let in."""
    access_log: Flag = False
    """Whether each answered request, and each stream that ends, is a line of the log."""
    heartbeat: Annotated[Period, AfterValidator(_not_too_often)] = 15.0
    """Silence on a stream after which a heartbeat is sent; at least 2s."""
    max_connection_age: PeriodOrOff = None
    """When a stream is asked to reconnect, give or take 20 %, so that replicas stay balanced."""
    drain: Drain = Drain()
    """Stopping."""
    poke: Poke = Poke()
    """Polls on demand."""

    @model_validator(mode="after")
    def _two_listeners(self) -> Server:
        if self.listen == self.admin.listen and self.listen.port:
            raise misplaced(("admin", "listen"), f"{self.listen} is the public listener's; give it another port")
        return self


class MemoryStore(Section):
    """Histories live in the process and end with it."""

    kind: Literal["memory"] = "memory"
    """In this process."""


class RedisStore(Section):
    """Histories are shared by all replicas."""

    kind: Literal["redis"]
    """In Redis."""
    url: RedisUrl
    """Where Redis is."""
    on_loss: Literal["pause", "continue"] = "pause"
    """What polling does while Redis cannot be reached."""


Store = Annotated[MemoryStore | RedisStore, Field(discriminator="kind")]
