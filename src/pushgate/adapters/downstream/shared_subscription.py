"""
One topic of a shared connection. What an SSE stream's topics say goes to the stream, which knows the position of all of
them; a WebSocket's share nothing but the socket.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

from ...errors import Refusal
from ...sets import weigh
from ...subscriber import Pace, Subscriber
from ...values import Event, Transport
from ...wire import Form
from .tables import Seat


class Connection(Protocol):
    """What a subscription needs of the connection that it is on."""

    def collect(self, data: bytes, *, is_change: bool) -> None: ...

    def moved(self, before: int, after: int, number: int) -> None: ...

    def redefined(self) -> None: ...

    def end(self, subscription: Subscription) -> None: ...

    def turn_away(self, subscription: Subscription, refusal: Refusal) -> None: ...

    def abort(self) -> None: ...

    def farewell(self, *, retry_after: float) -> None: ...


class Subscription(Subscriber):
    """One topic of one connection."""

    __slots__ = ("_connection", "_scope", "weight")

    transport_name: ClassVar[Transport] = "sse"
    is_beating = False
    is_patient = False  # what topics share on this connection is told together

    def __init__(self, connection: Connection, seat: Seat, form: Form, weight: int) -> None:
        super().__init__(seat.channel, mode=seat.mode, form=form, send=self._collect)
        self.principal = seat.principal
        self._connection = connection
        self._scope = seat.channel.history.scope(seat.mode)
        self.weight = weight  # of what the client holds of it

    def tell(self, frames: Sequence[tuple[Event, bytes]], *, opening: bytes = b"") -> None:
        for event, data in frames:
            self._connection.collect(data, is_change=event.id is not None)
        self.passed()

    def note(self, data: bytes) -> None:
        self._connection.collect(data, is_change=False)

    def _collect(self, data: bytes) -> None:
        self._connection.collect(data, is_change=True)
        self.passed()

    def passed(self) -> None:
        """Take note of where the topic is now, which is what the client has been told."""
        history = self.channel.history
        latest = history.latest
        if latest is None or not self.is_live:
            return
        scope = history.scope(self.mode)
        after = weigh(scope, latest.digest)
        self._connection.moved(self.weight, after, latest.number)
        self.weight = after
        if scope != self._scope:
            self._scope = scope
            self._connection.redefined()

    def finish(self) -> None:
        self._connection.end(self)

    def refuse(self, refusal: Refusal) -> None:
        self._connection.turn_away(self, refusal)

    def leave(self) -> None:
        """Let go of the topic, and of the reference to itself."""
        self.channel.leave(self)
        self.send = _nothing_more

    def abort(self) -> None:
        self._connection.abort()

    def farewell(self, *, retry_after: float) -> None:
        self._connection.farewell(retry_after=retry_after)


class Socket(Protocol):
    """What a topic needs of the WebSocket that it is on."""

    def drop(self, subscription: SocketSubscription) -> None: ...

    def abort(self) -> None: ...

    def farewell(self, *, retry_after: float) -> None: ...


class SocketSubscription(Subscriber):
    """One topic of one WebSocket."""

    __slots__ = ("_connection", "key")

    transport_name: ClassVar[Transport] = "websocket"
    is_beating = False

    def __init__(
        self, connection: Socket, seat: Seat, form: Form, send: Callable[[bytes], None], pace: Pace | None
    ) -> None:
        super().__init__(seat.channel, mode=seat.mode, form=form, send=send, pace=pace)
        self.principal = seat.principal
        self._connection = connection
        self.key = seat.channel.name.key

    def finish(self) -> None:
        self._connection.drop(self)

    def refuse(self, refusal: Refusal) -> None:
        self.send(self.form(self.channel.problem(refusal), self.channel.name.text))
        self._connection.drop(self)

    def abort(self) -> None:
        self._connection.abort()

    def farewell(self, *, retry_after: float) -> None:
        self._connection.farewell(retry_after=retry_after)


def _nothing_more(data: bytes) -> None:
    """Where events go of a topic that is no longer followed."""
