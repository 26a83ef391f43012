"""
One client that follows one topic: a cursor and a transport, and what they need of the topic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol

from .documents.history import History
from .errors import Refusal
from .routes import Route, TopicName
from .values import Event, Mode, Transport
from .views import ViewRoute
from .wire import Form


class Followed(Protocol):
    """What a subscriber needs of what it follows."""

    route: Route | ViewRoute
    name: TopicName

    @property
    def history(self) -> History: ...

    def join(self, subscriber: Subscriber, cursor: str | None, *, opening: bytes) -> None: ...

    def leave(self, subscriber: Subscriber) -> None: ...

    def fall_behind(self, subscriber: Subscriber) -> None: ...

    def catch_up(self, subscriber: Subscriber) -> None: ...

    def position(self, subscriber: Subscriber) -> str | None: ...

    def beat(self, subscriber: Subscriber, *, opening: bytes = b"") -> None: ...

    def problem(self, refusal: Refusal) -> Event: ...


class Subscriber:
    """One client that follows one topic over a stream. Adapters add the socket."""

    __slots__ = ("bare_at", "channel", "cursor", "form", "is_live", "is_paused", "missed_beats", "mode", "send", "turn")

    transport_name: ClassVar[Transport]

    def __init__(self, channel: Followed, *, mode: Mode, form: Form, send: Callable[[bytes], None]) -> None:
        self.channel = channel
        self.mode: Mode = mode
        self.form: Form = form
        self.send = send  # writes bytes; may call ``pause_writing`` before it returns
        self.is_live = False  # it has seen the latest change
        self.cursor: str | None = None  # where it stands while it is not live; None: nowhere yet
        self.bare_at: int | None = None  # the change at which it joined without a position of its own (``cursor=now``)
        self.is_paused = False  # its transport takes nothing more for now
        self.missed_beats = 0  # heartbeats that fell into the pause
        self.turn = 0  # its place on the heartbeat wheel

    def pause_writing(self) -> None:
        """Called by the transport when its buffer is full."""
        self.is_paused = True
        self.channel.fall_behind(self)

    def resume_writing(self) -> None:
        """Called by the transport when its buffer is empty again."""
        self.is_paused = False
        self.missed_beats = 0
        self.channel.catch_up(self)

    def beat(self) -> None:
        """Give a sign of life."""
        self.channel.beat(self)

    def abort(self) -> None:
        """Cut the connection without a word."""
        raise NotImplementedError

    def farewell(self, *, retry_after: float) -> None:
        """End the stream because the gateway goes away; the client shall come back after so many seconds."""
        raise NotImplementedError

    def finish(self) -> None:
        """End the stream because nothing will follow: the client has heard ``end``."""
        raise NotImplementedError

    def refuse(self, refusal: Refusal) -> None:
        """End the stream because the client may not follow the topic any more."""
        raise NotImplementedError


class Waiter(Protocol):
    """Somebody who waits for the next change only: a parked long poll."""

    transport_name: ClassVar[Transport]

    @property
    def channel(self) -> Followed: ...

    def wake(self) -> None:
        """Look again: a document was appended."""

    def finish(self) -> None:
        """Stop waiting: the gateway goes away."""

    def refuse(self, refusal: Refusal) -> None:
        """Stop waiting: the client may not follow the topic any more."""
