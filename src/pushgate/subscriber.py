"""
One client that follows one topic: a cursor and a transport, and what they need of the topic.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import ClassVar, Protocol

from .documents.history import History
from .errors import NotAuthenticated, Refusal
from .leases import Stay
from .routes import Route, TopicName
from .values import Event, Mode, Parting, Principal, Transport
from .views import ViewRoute
from .wire import Form

# Whose transport took nothing for so many heartbeats is not slow but gone.
MAX_MISSED_BEATS = 4


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

    def hurry(self, subscriber: Subscriber) -> bool: ...

    def position(self, subscriber: Subscriber) -> str | None: ...

    def beat(self, subscriber: Subscriber, *, opening: bytes = b"") -> None: ...

    def problem(self, refusal: Refusal) -> Event: ...


def parting_of(refusal: Refusal) -> Parting:
    """Return what ends a connection that is refused."""
    is_expired = isinstance(refusal, NotAuthenticated) and refusal.fault == "credentials_expired"
    return "expired" if is_expired else "refused"


def pace_of(throttle: float | None) -> Pace | None:
    """Return how often somebody is told of changes who named an interval, or none."""
    return None if throttle is None else Pace(throttle)


class Pace:
    """How often somebody wants to be told of changes: at most once in so many seconds."""

    __slots__ = ("_alarm", "_interval", "_rests_until")

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._rests_until = float("-inf")
        self._alarm: asyncio.TimerHandle | None = None  # only while there is something to tell

    def rest(self, now: float) -> None:
        """Begin to rest: it is being told."""
        self._rests_until = now + self._interval

    def is_resting(self, now: float, rouse: Callable[[], None]) -> bool:
        """Whether it is to be left alone; ``rouse`` is called when that is over."""
        left = self._rests_until - now
        if left > 0 and self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(left, self._ring, rouse)
        return left > 0

    def stop(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _ring(self, rouse: Callable[[], None]) -> None:
        self._alarm = None
        rouse()


class Subscriber:
    """One client that follows one topic over a stream. Adapters add the socket."""

    __slots__ = (
        *("bare_at", "channel", "cursor", "form", "heartbeat", "is_live", "is_paused", "is_terse", "missed_beats"),
        *("mode", "pace", "parting", "principal", "send", "turn"),
    )

    transport_name: ClassVar[Transport]
    is_beating: ClassVar[bool] = True  # gives signs of life by itself, and not only its connection
    is_patient: ClassVar[bool] = True  # may be told of a change a moment later than others

    def __init__(
        self, channel: Followed, *, mode: Mode, form: Form, send: Callable[[bytes], None], pace: Pace | None = None
    ) -> None:
        self.channel = channel
        self.mode: Mode = mode
        self.form: Form = form
        self.send = send  # writes bytes; may call ``pause_writing`` before it returns
        self.is_live = False  # it has seen the latest change
        self.cursor: str | None = None  # where it stands while it is not live; None: nowhere yet
        self.bare_at: int | None = None  # the change at which it joined without a position of its own (``cursor=now``)
        self.is_paused = False  # its transport takes nothing more for now
        self.missed_beats = 0  # heartbeats that fell into the pause
        self.pace = pace  # None: it is told of each change as it comes
        self.is_terse = pace is not None  # it is told of all that it missed in one event
        self.heartbeat: float | None = None  # seconds; None: as the server has it
        self.turn = 0  # its place on the heartbeat wheel
        self.parting: Parting = "client"  # who or what ends it, if it ends now
        self.principal: Principal | None = None  # as whom it may follow the topic; None: everybody may

    def tell(self, frames: Sequence[tuple[Event, bytes]], *, opening: bytes = b"") -> None:
        """Write ``opening`` and what brings the client up to date: each event, and how it is written."""
        if frames or opening:
            self.send(opening + b"".join([data for _, data in frames]))

    def note(self, data: bytes) -> None:
        """Write what is news but no position: a status, a problem."""
        self.send(data)

    def passed(self) -> None:
        """Take note that a change went by of which there is nothing to tell in this mode."""

    @property
    def subscriptions(self) -> Collection[Subscriber]:
        """What is followed on this connection."""
        return (self,)

    def pause_writing(self) -> None:
        """Called by the transport when its buffer is full."""
        self.is_paused = True
        self.channel.fall_behind(self)

    def resume_writing(self) -> None:
        """Called by the transport when its buffer is empty again."""
        self.is_paused = False
        self.missed_beats = 0
        self.channel.catch_up(self)

    def is_awake(self, now: float) -> bool:
        """Whether it can be told something; who rests catches up in time, and who is paused comes by itself."""
        is_resting = self.pace is not None and self.pace.is_resting(now, lambda: self.channel.catch_up(self))
        return not is_resting and not self.is_paused

    def beat(self) -> None:
        """Give a sign of life."""
        self.channel.beat(self)

    def miss_beat(self) -> None:
        """Count a heartbeat that could not be written, and give the client up in the end."""
        self.missed_beats += 1
        if self.missed_beats >= MAX_MISSED_BEATS:
            self.parting = "slow"
            self.abort()

    def check(self, silence: float) -> None:
        """Cut the connection if the other side has acknowledged nothing for so many seconds."""

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

    def warn(self, expiring: Event) -> None:
        """Tell the client that its credentials end."""
        self.note(self.form(expiring, self.channel.name.text))

    def revoke(self, principal: Principal, refusal: Refusal) -> None:
        """End the stream if the client may follow the topic as this principal only."""
        if self.principal is principal:
            self.refuse(refusal)


class Stream(Protocol):
    """A connection that events are written to: a subscriber's own, or one that several share."""

    turn: int  # its place on the heartbeat wheel
    parting: Parting  # who or what ends it, if it ends now
    heartbeat: float | None  # seconds; None: as the server has it
    stay: Stay | None  # None: nobody has asked who it is

    @property
    def transport_name(self) -> Transport: ...

    @property
    def subscriptions(self) -> Collection[Subscriber]: ...

    def beat(self) -> None: ...

    def check(self, silence: float) -> None: ...

    def abort(self) -> None: ...

    def farewell(self, *, retry_after: float) -> None: ...

    def warn(self, expiring: Event) -> None: ...

    def revoke(self, principal: Principal, refusal: Refusal) -> None: ...


class Asker(Protocol):
    """A connection whose client waits for an answer: a parked long poll."""

    @property
    def transport_name(self) -> Transport: ...

    @property
    def followed(self) -> Collection[Followed]: ...

    @property
    def principals(self) -> Collection[Principal]:
        """Those as whom it may follow that."""

    def time_out(self) -> None:
        """Answer now: the wait is over."""

    def finish(self) -> None:
        """Answer now: the gateway goes away."""


class Newcomer(Protocol):
    """A WebSocket that was let in to say who its client is."""

    def time_out(self) -> None:
        """Send it away: it took too long."""

    def finish(self) -> None:
        """Send it away: the gateway goes away."""


class Waiter(Protocol):
    """Somebody who waits for the next change only: a parked long poll."""

    @property
    def transport_name(self) -> Transport: ...

    @property
    def channel(self) -> Followed: ...

    @property
    def mode(self) -> Mode | None:
        """How it is told of changes; None if it waits for the document as it is."""

    @property
    def principal(self) -> Principal | None:
        """As whom it may follow the topic; None: everybody may."""

    def wake(self) -> None:
        """Look again: a document was appended."""

    def finish(self) -> None:
        """Stop waiting: the gateway goes away."""

    def refuse(self, refusal: Refusal) -> None:
        """Stop waiting: the client may not follow the topic any more."""
