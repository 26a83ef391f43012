"""
How a topic speaks to those who follow it: each event is written once for all who get the same bytes, and counted for
each who does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from .errors import Refusal
from .ledger import Ledger
from .subscriber import Subscriber
from .values import Event, EventKind, Status, Transport
from .wave import Errand
from .wire import Form, Frames, heartbeat_event, problem_event, status_event


class Voice:
    """Tells a topic's events. ``ledger``: where they are counted; ``wall`` reads the time, since the epoch."""

    __slots__ = ("_frames", "_topic", "_wall", "ledger")

    def __init__(self, topic: str, ledger: Ledger, wall: Callable[[], float]) -> None:
        self._topic = topic
        self._frames = Frames(topic)
        self.ledger = ledger
        self._wall = wall

    def forget(self) -> None:
        """Keep nothing that was written: there will be other events."""
        self._frames.clear()

    def tell(self, subscriber: Subscriber, events: Sequence[Event], *, opening: bytes = b"") -> None:
        """Tell one subscriber what brings it up to date."""
        frames = self._frames.of(events, subscriber.form)
        for event, data in frames:
            self._count(subscriber, event, data)
        subscriber.tell(frames, opening=opening)

    def note(self, subscribers: Sequence[Subscriber], event: Event, form: Form) -> None:
        """Tell news that are no position to some who are told in the same form."""
        data = form(event, self._topic)
        for subscriber in subscribers:
            self._count(subscriber, event, data)
            subscriber.note(data)

    def beat(self, subscriber: Subscriber, status: Status, position: str | None, *, opening: bytes) -> None:
        """Give one subscriber a sign of life."""
        heartbeat = self.heartbeat(status, position)
        data = subscriber.form(heartbeat, self._topic)
        self._count(subscriber, heartbeat, data)
        subscriber.send(opening + data)

    def errand(self, event: Event, form: Form, transport: Transport) -> Errand:
        """Return what a lane is told of a change; all who stand in it are of one transport."""
        data = form(event, self._topic)
        return Errand(data, partial(self._told, transport, event.kind, len(data), event.at))

    def heartbeat(self, status: Status, position: str | None) -> Event:
        return heartbeat_event(status, id=position, at=self._wall())

    def status(self, status: Status) -> Event:
        return status_event(status, at=self._wall())

    def problem(self, refusal: Refusal) -> Event:
        return problem_event(refusal, at=self._wall())

    def _count(self, subscriber: Subscriber, event: Event, data: bytes) -> None:
        self.ledger.told(subscriber.transport_name, event.kind, size=len(data))

    def _told(self, transport: Transport, kind: EventKind, size: int, at: float, count: int) -> None:
        if count:
            self.ledger.told(transport, kind, size=size, count=count, delay=self._wall() - at)
