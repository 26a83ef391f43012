"""
What ties together what one request or one poll leaves behind in many places: request ids, and the trace that it
belongs to (W3C Trace Context, level 1).

Rule 1: what others say counts only in the exact form; it goes into header fields and into the log as it is. Anything
else is dropped as if it had not been said, and a trace of which a half is malformed goes on without that half.
Rule 2: an id is there to be found, not to be secret; it costs less than a microsecond.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

REQUEST_ID: Final = "X-Request-Id"

# The names of the fields by which requests are correlated, in lower case.
CORRELATING: Final = frozenset(["x-request-id", "traceparent", "tracestate"])

_SANE_ID = re.compile(r"[A-Za-z0-9._~:+/=-]{1,128}")

# Section 3.2: a later version may have more behind these, which is not for us.
_PARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
)
_PARENT_LENGTH = 55
_SAMPLED = 0x01

# Section 3.3.
_KEY = r"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
_MEMBER = re.compile(rf"{_KEY}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{{0,255}}[\x21-\x2b\x2d-\x3c\x3e-\x7e]")
_MAX_MEMBERS = 32


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace that something belongs to. ``parent``: the part of it that has caused this; ``state``: vendors' own."""

    id: str
    parent: str
    is_sampled: bool = False
    state: str = ""

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """The header fields by which it goes on at whoever is asked."""
        traceparent = ("traceparent", f"00-{self.id}-{self.parent}-{_SAMPLED if self.is_sampled else 0:02x}")
        return (traceparent, ("tracestate", self.state)) if self.state else (traceparent,)


def read_trace(parents: Sequence[str], states: Sequence[str]) -> Trace | None:
    """Return the trace that the fields ``traceparent`` and ``tracestate`` name, or None if they name none."""
    if len(parents) != 1:
        return None
    text = parents[0].strip(" \t")
    found = _PARENT.match(text)
    if found is None or found["version"] == "ff" or not int(found["trace"], 16) or not int(found["parent"], 16):
        return None
    rest = text[_PARENT_LENGTH:]
    if rest and (found["version"] == "00" or not rest.startswith("-")):
        return None
    is_sampled = bool(int(found["flags"], 16) & _SAMPLED)
    return Trace(found["trace"], found["parent"], is_sampled, _state(states))


def _state(states: Sequence[str]) -> str:
    """Return the members of a ``tracestate``, in their order; "" if any of them is none."""
    members = [member.strip(" \t") for state in states for member in state.split(",")]
    kept = [member for member in members if member]  # empty ones may be there, and say nothing
    if len(kept) > _MAX_MEMBERS or not all(map(_MEMBER.fullmatch, kept)):
        return ""
    return ",".join(kept)


@dataclass(frozen=True, slots=True)
class Trail:
    """Where one request can be found again: by its id, and in the trace that its client says it belongs to."""

    request_id: str
    trace: Trace | None = None

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """The header fields that go with it to whoever is asked for it."""
        own = ((REQUEST_ID, self.request_id),) if self.request_id else ()
        return own if self.trace is None else (*own, *self.trace.fields)

    @property
    def account(self) -> Mapping[str, str]:
        """What a line of the log says of it."""
        own = {"request_id": self.request_id}
        return own if self.trace is None else {**own, "trace_id": self.trace.id}


NO_TRAIL: Final = Trail("")


class RequestIds:
    """Gives requests their ids. ``prefix``: what tells this process from all others."""

    __slots__ = ("_count", "_prefix")

    def __init__(self, prefix: str) -> None:
        self._prefix = f"{prefix}-"
        self._count = 0

    def __call__(self, told: str | None = None) -> str:
        """Return what a client or a proxy calls its request, if that is an id, or a new one."""
        if told is not None and _SANE_ID.fullmatch(told):
            return told
        self._count += 1
        return f"{self._prefix}{self._count:x}"
