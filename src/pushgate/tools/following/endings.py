"""
How a connection can end, and whether that is for good.

The table is that of docs/delivery.md, "When something is wrong": what has to do with who asks, or with what is asked,
will be so again; what has to do with room and time will not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from ...errors import (
    AuthTooLate,
    AuthUnavailable,
    Draining,
    Overloaded,
    Paused,
    Refusal,
    Reloaded,
    RequestTooLate,
    TooMany,
    UpstreamFailed,
    UpstreamTimedOut,
)

_PASSING: tuple[type[Refusal], ...] = (
    AuthTooLate,
    AuthUnavailable,
    Draining,
    Overloaded,
    Paused,
    Reloaded,
    RequestTooLate,
    TooMany,
    UpstreamFailed,
    UpstreamTimedOut,
)
_PASSING_CODES = {kind.code for kind in _PASSING}

# RFC 6455 section 7.4.1: the codes that say that somebody broke the rules; the others come from the way.
_PROTOCOL_BROKEN = {1002, 1003, 1007, 1008, 1009, 1010}

_RETRY_AFTER = re.compile(r"retry_after_ms=(\d+)")


@dataclass(frozen=True, slots=True)
class Finished:
    """There will be no more changes: ``end``, a 204, or a WebSocket that was closed with 1000."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection broke, or was closed without a word. ``was_there``: there had been one."""

    why: str
    was_there: bool = True


@dataclass(frozen=True, slots=True)
class Silenced:
    """Nothing was heard for too long, not even a heartbeat."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Refused:
    """An HTTP status that is no success, or a ``problem``, with the code and the words of its body, if it had any."""

    status: int | None
    code: str | None
    message: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Closed:
    """A WebSocket was closed with a code and a reason."""

    code: int
    reason: str


Ending: TypeAlias = "Finished | Cut | Silenced | Refused | Closed"


def is_passing(ending: Refused | Closed) -> bool:
    """Whether it is worth coming back with the same question."""
    if isinstance(ending, Closed):
        # 4408 is for who has a message to send; here everything was said in the handshake.
        return ending.code == 4429 if ending.code >= 4000 else ending.code not in _PROTOCOL_BROKEN
    if ending.code is not None and ending.status is None:
        return ending.code in _PASSING_CODES
    return ending.status in (408, 425, 429) or (ending.status or 0) >= 500


def advice_of(ending: Ending) -> float | None:
    """Return in how many seconds the gateway wants to be asked again; None if it did not say."""
    if isinstance(ending, Refused):
        return ending.retry_after
    if isinstance(ending, Closed) and (found := _RETRY_AFTER.search(ending.reason)) is not None:
        return int(found[1]) / 1000
    return None


def words_of(ending: Ending) -> str:
    """Say what happened."""
    match ending:
        case Finished():
            return "there will be no more changes"
        case Cut():
            return ending.why
        case Silenced():
            return f"nothing was heard for {ending.seconds:g}s"
        case Closed(code=4408):
            return "it waits for credentials; show some with --token or -H (4408)"
        case Closed():
            return f"closed with {ending.code}{f': {ending.reason}' if ending.reason else ''}"
        case Refused():
            told = " ".join(part for part in (str(ending.status or ""), ending.code or "") if part)
            return " ".join(part for part in (ending.message, f"({told})" if told else "") if part)
