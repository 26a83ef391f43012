"""
The values that travel between modules. Nothing here decides anything.

A ``Json`` value is what ``msgspec`` decodes: integers are exact, other numbers are doubles. Documents share their
unchanged parts from version to version and are never changed once they were published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal, TypeAlias

from .packing import Parcel

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

Mode = Literal["patch", "merge", "items", "snapshot"]
Transport = Literal["short_poll", "long_poll", "sse", "websocket"]
Encoding = Literal["base64"]
Parting = Literal[
    "client", "dead", "slow", "no_ping", "ended", "drained", "refused", "expired"
]  # why a connection ended
EventKind = Literal[
    "snapshot", "patch", "merge", "items", "gone", "end", "status", "heartbeat", "expiring", "problem", "ack"
]
State = Literal["cold", "live", "stale", "held", "paused", "gone", "ended"]


class Absent(Enum):
    """What a topic's document is when the upstream says that it does not exist; ``None`` would be JSON's null."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT
Document: TypeAlias = Json | Literal[Absent.ABSENT]


class Unread(Enum):
    """What an answer's value is before its body was read; ``None`` would be JSON's null."""

    UNREAD = "unread"


UNREAD: Final = Unread.UNREAD


@dataclass(frozen=True, slots=True)
class Event:
    """
    What a client gets, before it is framed for a transport.

    ``id`` is a cursor, or None for events that are no position (``status``). ``at`` is when the upstream's answer was
    read, in seconds since the epoch. ``data`` is JSON in UTF-8 and holds no line break. ``encoding``: how bytes became
    a text in it. ``parcel``: the data as it is compressed once for all who get it; None: it is too little for that.
    """

    kind: EventKind
    id: str | None
    at: float
    data: bytes
    encoding: Encoding | None = None
    parcel: Parcel | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Status:
    """How a topic is doing. Times are seconds since the epoch; ``reason`` is that of the latest failed poll."""

    state: State
    since: float
    reason: str | None
    confirmed_at: float | None
    next_poll_at: float | None


@dataclass(frozen=True, slots=True)
class Validators:
    """What the accepted answer may be asked about again with (RFC 9110 section 8.8); each is kept on its own."""

    etag: str | None = None
    last_modified: str | None = None
    url: str | None = None  # whose they are, if a redirect led there: another resource may have the same ones


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """
    One request to an upstream: an absolute URL that is already encoded, the header fields to send, and the body.

    ``upstream`` is its name in the configuration. ``claims``: those of the caller as whom it is asked, for credentials
    that depend on them.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None = None
    upstream: str = ""
    claims: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Principal:
    """
    Who a client proved to be: the entry of ``auth:`` that vouches, the issuer and subject, and what they claim.

    ``expires_at``: seconds since the epoch; None: for as long as the entry vouches. ``proof`` is a digest of what it
    was proved with, by which the entry knows later whether that still counts.
    """

    auth: str
    issuer: str
    subject: str
    claims: Mapping[str, Json] = field(default_factory=dict, repr=False)
    expires_at: float | None = None
    proof: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a topic is asked for: what its request carried, names of header fields in lower case."""

    principal: Principal | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)


ANYBODY: Final = Caller()
