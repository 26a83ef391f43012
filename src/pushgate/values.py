"""
The values that travel between modules. Nothing here decides anything.

A ``Json`` value is what ``msgspec`` decodes: integers are exact, other numbers are doubles. Documents share their
unchanged parts from version to version and are never changed once they were published.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, TypeAlias

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

Mode = Literal["patch", "merge", "items", "snapshot"]
Transport = Literal["short_poll", "long_poll", "sse", "websocket"]
EventKind = Literal["snapshot", "patch", "merge", "items", "gone", "status", "heartbeat", "problem", "ack"]
State = Literal["cold", "live", "stale", "gone"]


class Absent(Enum):
    """What a topic's document is when the upstream says that it does not exist; ``None`` would be JSON's null."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT
Document: TypeAlias = Json | Literal[Absent.ABSENT]


@dataclass(frozen=True, slots=True)
class Event:
    """
    What a client gets, before it is framed for a transport.

    ``id`` is a cursor, or None for events that are no position (``status``). ``at`` is when the upstream's answer was
    read, in seconds since the epoch. ``data`` is JSON in UTF-8 and holds no line break.
    """

    kind: EventKind
    id: str | None
    at: float
    data: bytes


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


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """One request to an upstream: an absolute URL that is already encoded, and the header fields to send."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
