"""
What is asked for: the URL of a topic, or of a connection for several, with what the client wants added to it.

On a connection for several topics the last word of the path is the transport; what stands before it is the gateway's
own prefix, whatever that is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

from ...values import Transport
from .follower import Follower

# Where several topics are followed (section "Many topics on one connection" of docs/delivery.md).
SHARED: Final[dict[Transport, str]] = {"sse": "events", "long_poll": "poll", "websocket": "ws"}

# Where these are, unless ``server.prefix`` says otherwise.
PREFIX = "/-/"

# What a client decides by itself: where it is, and how it hears of it.
_OURS = ("topic", "cursor", "wait", "framing", "heartbeat")

# What a path may hold as it is (RFC 3986 section 3.3); the rest is written as people do, and has to be encoded.
_PLAIN = "/%!$&'()*+,;=:@"


@dataclass(frozen=True, slots=True)
class Address:
    """``topics`` is empty for a topic's own URL. ``query``: what is asked for beside the position."""

    parts: SplitResult
    topics: tuple[str, ...]
    query: tuple[tuple[str, str], ...]
    cursor: str | None

    @classmethod
    def read(cls, url: str, more: Sequence[str] = ()) -> Address:
        """Read a topic's URL, that of a connection for several, or with ``more`` topics that of the gateway."""
        parts = urlsplit(url)
        parts = parts._replace(path=quote(parts.path, safe=_PLAIN))
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        topics = [value for name, value in pairs if name == "topic"]
        cursor = next((value for name, value in pairs if name == "cursor" and value), None)
        query = [(name, value) for name, value in pairs if name not in _OURS]
        if more:
            parts = parts._replace(path=f"{parts.path.rstrip('/')}{PREFIX}")
        elif topics:
            parts = parts._replace(path=f"{parts.path.rpartition('/')[0]}/")
        return cls(parts, (*topics, *more), (*query,), cursor)

    @property
    def is_shared(self) -> bool:
        return bool(self.topics)

    @property
    def transports(self) -> tuple[Transport, ...]:
        """Which there may be, the one that suits most first."""
        return ("sse", "websocket", "long_poll") if self.is_shared else ("sse", "websocket", "long_poll", "short_poll")

    def wanting(self, wishes: Iterable[tuple[str, str | None]]) -> Address:
        """Return the same address with other wishes; None is none, and leaves what the URL says."""
        new = {name: value for name, value in wishes if value is not None}
        kept = [(name, value) for name, value in self.query if name not in new]
        return Address(self.parts, self.topics, (*kept, *new.items()), self.cursor)

    def url(self, transport: Transport, follower: Follower) -> str:
        """Return what to open, so that it goes on where the follower is."""
        scheme = self.parts.scheme.replace("http", "ws", 1) if transport == "websocket" else self.parts.scheme
        path = f"{self.parts.path}{SHARED[transport]}" if self.is_shared else self.parts.path
        query = urlencode([*self._position(transport, follower), *self.query])
        return self.parts._replace(scheme=scheme, path=path or "/", query=query, fragment="").geturl()

    def _position(self, transport: Transport, follower: Follower) -> list[tuple[str, str]]:
        if self.is_shared and transport == "websocket" and follower.cursors:
            # One for each topic, in their order; an empty one is none. Once all are heard of, by their own names, which
            # may be others than those that they were asked for by.
            are_heard = len(follower.cursors) == len({*self.topics})
            positions = (
                follower.cursors if are_heard else {topic: follower.cursors.get(topic, "") for topic in self.topics}
            )
            return [pair for topic, own in positions.items() for pair in (("topic", topic), ("cursor", own))]
        named = [("topic", topic) for topic in self.topics]
        return [*named, ("cursor", follower.cursor)] if follower.cursor and transport != "short_poll" else named
