"""
A client that waits for its answer: the socket is taken over from aiohttp, so that it is a small object and an alarm,
and is given back with the answer, so that the connection serves the next request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import ClassVar

from aiohttp import web

from ...hub import Hub
from ...subscriber import Followed
from ...values import Principal, Transport
from .handover import give_back
from .replies import Reply, Written

# What a parked client may send ahead (its next requests) before it is cut off.
MAX_PENDING_BYTES = 64 * 1024


class ParkedConnection:
    """The protocol of a parked client's socket; what it waits for is for others to know."""

    __slots__ = ("_alarm", "_hub", "_is_full", "_keep_alive", "_pending", "_server", "_transport")

    transport_name: ClassVar[Transport] = "long_poll"

    def __init__(self, hub: Hub, server: web.Server, *, keep_alive: bool) -> None:
        self._hub = hub
        self._server = server
        self._keep_alive = keep_alive
        self._pending = b""
        self._is_full = False  # the answer is larger than what the transport takes at once
        self._transport: asyncio.Transport | None = None  # while it waits
        self._alarm = 0  # the place of the last one; 0: never yet

    def hold(self, transport: asyncio.Transport, wait: float) -> None:
        """Keep the client for so many seconds."""
        self._transport = transport
        if not self._alarm:
            self._hub.connected(self)
        self._alarm = self._hub.parked.set(self, wait)

    @property
    def is_waiting(self) -> bool:
        return self._transport is not None

    @property
    def address(self) -> str:
        """The route that it asks; empty, if it asks several."""
        raise NotImplementedError

    @property
    def followed(self) -> Collection[Followed]:
        """What it waits at."""
        raise NotImplementedError

    @property
    def principals(self) -> Collection[Principal]:
        """Those as whom it may wait there."""
        raise NotImplementedError

    def time_out(self) -> None:
        """Answer with whatever there is to say: the wait is over."""
        raise NotImplementedError

    def finish(self) -> None:
        """Answer now, with whatever there is to say, and let the client ask again elsewhere."""
        self._keep_alive = False
        self.time_out()

    def let_go(self) -> None:
        """Wait no longer; called once, with the answer or when the client has left."""
        self._transport = None
        self._hub.parked.drop(self, self._alarm)

    def send(self, reply: Reply) -> None:
        """Answer, and go on to the next request."""
        self.write(reply.written(keep_alive=self._keep_alive))

    def write(self, answer: Written, *, woken_at: float | None = None) -> None:
        """Send an answer; ``woken_at``: the time, since the epoch, if news have come while the client was waiting."""
        transport = self._transport
        assert transport is not None, "an answer is sent once"
        self.let_go()
        transport.set_write_buffer_limits()
        self.emit(transport, answer.data)
        self.count(answer, woken_at=woken_at)
        if self._keep_alive:
            self.go_on(transport)
        else:
            self._hub.settle(self)
            transport.close()

    def emit(self, transport: asyncio.Transport, answer: bytes) -> None:
        """Write an answer as this client gets it."""
        transport.write(answer)

    def count(self, answer: Written, *, woken_at: float | None = None) -> None:
        """Count an answer, and what it tells."""
        self._hub.metrics.answered(self.address, self.transport_name, answer.status)
        if self._hub.charges and (charge := self._hub.charges.get(self)) is not None and charge.witness is not None:
            charge.witness.answered(answer.status, len(answer.data) - answer.data.index(b"\r\n\r\n") - 4)
        for mention in answer.mentions:
            mention.count(self.transport_name, now=woken_at)

    def go_on(self, transport: asyncio.Transport) -> None:
        """Have the next request read; by aiohttp, to which the connection is given back with what has come of it."""
        self._hub.settle(self)
        give_back(transport, self._server, self._pending, is_full=self._is_full)

    # What the transport says.

    def data_received(self, data: bytes) -> None:
        self._pending += data
        if len(self._pending) > MAX_PENDING_BYTES and self._transport is not None:
            self._transport.abort()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self.let_go()
            self.count_loss(exc)

    def count_loss(self, exc: Exception | None) -> None:
        """Take note that the client has left without an answer; the kernel's patience ends with a timeout."""
        self._hub.lost(self, "dead" if isinstance(exc, TimeoutError) else "client")

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
