"""
WebSockets whose clients have yet to say who they are: a browser's page can put no header field on a handshake, so it
may say the first message instead.

Rule 1: a newcomer follows nothing, so nothing is polled for it; it has a few seconds, and there are not many of them.
Rule 2: when it has said who it is, its socket goes to the stream that it came for, with all that it has said since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeAlias

from aiohttp import web

from ...auth.visitor import Visitor
from ...clock import Clock
from ...errors import AuthTooLate, BadRequest, Draining, Overloaded, Refusal
from ...hub import Hub
from ...wire import ack_message, problem_message, text_frame
from .conversation import Conversation
from .desk import Desk
from .extensions import accepted_extension
from .handover import TakenOver, take_over_upgraded
from .inbox import Correspondent, Inbox, Work
from .messages import Auth, Message, Ping
from .trails import id_field
from .upgrade import accept_head, reason_of

# Time to open a socket's handler and to send one message over a slow network, in seconds.
PATIENCE = 5.0

# So many at once. Each costs 5 KB and a place among all connections, and nobody knows yet whose it is.
MAX_NEWCOMERS = 1000

# When those that are too many may come back, in seconds: by then the others have said who they are, or left.
COME_BACK = PATIENCE

# Starts the stream that a newcomer came for, with these bytes first; raises the Refusal of what it may not have.
Succeed: TypeAlias = "Callable[[Newcomer, Visitor, bytes], Correspondent]"


class Newcomer:
    """One client that has yet to say who it is; the protocol of its socket. ``names``: who may vouch for it."""

    __slots__ = (
        *("_alarm", "_hub", "_inbox", "_is_proving", "_is_strict", "_names", "_succeed", "_visitor"),
        *("clock", "conversation", "desk"),
    )

    def __init__(
        self,
        hub: Hub,
        clock: Clock,
        desk: Desk,
        visitor: Visitor,
        names: Iterable[str],
        succeed: Succeed,
        conversation: Conversation,
        *,
        is_strict: bool,
    ) -> None:
        self._hub = hub
        self._visitor = visitor
        self._names = [*names]
        self._succeed = succeed
        self._is_strict = is_strict  # it can have nothing as a stranger
        self._is_proving = False  # it has said who it is, and that is being verified
        self._alarm = 0
        self.clock = clock
        self.desk = desk
        self.conversation = conversation
        self._inbox = Inbox(self, conversation, desk.tasks)

    def begin(self, transport: asyncio.Transport, head: bytes, tail: bytes) -> None:
        """Let it in; ``tail`` is what it sent right behind its handshake."""
        self.conversation.transport = transport
        self._alarm = self._hub.unproved.set(self, PATIENCE)
        transport.write(head)
        if tail:
            self.data_received(tail)

    def hand_over(self, stream: Correspondent) -> asyncio.Transport:
        """Make a stream the owner of the socket, and of what the client has said; return its transport."""
        transport = self.conversation.transport
        assert transport is not None, "who has left is not let in"
        self._hub.unproved.drop(self, self._alarm)
        self._hub.pass_on(self, stream)
        self._inbox.pass_on(stream)
        transport.set_protocol(stream)  # type: ignore[arg-type]  # a Correspondent says only what the inbox needs of it
        return transport

    def time_out(self) -> None:
        if self._is_proving:  # in time; and verifying is bounded by itself
            self._alarm = self._hub.unproved.set(self, PATIENCE)
        else:
            self._send_away(AuthTooLate(f"the first message has to say who you are, within {PATIENCE:.0f}s"))

    def finish(self) -> None:
        self._send_away(Draining("the gateway is going away", retry_after=self.desk.door.retry))

    # What the transport says.

    def data_received(self, data: bytes) -> None:
        for message in self.conversation.receive(data):
            self._inbox.take(message)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.conversation.end()
        self._inbox.stop()
        self._hub.unproved.drop(self, self._alarm)
        self._hub.settle(self)

    def pause_writing(self) -> None:
        self.conversation.pause_reading("writing")

    def resume_writing(self) -> None:
        self.conversation.resume_reading("writing")

    # What the client says.

    def inherit(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def hear_on(self) -> None:
        self.data_received(b"")

    def crash(self) -> None:
        self.conversation.abort()

    def obey(self, message: Message) -> Work | None:
        match message:
            case Ping():
                self._write(ack_message(ref=message.ref, at=self.clock.wall()))
                return None
            case Auth():
                return self._prove(message)
            case _ if self._is_strict:
                raise BadRequest('say who you are first: {"op":"auth","token":"..."}')
            case _:
                return self._let_in(self._visitor, b"").obey(message)

    async def _prove(self, message: Auth) -> None:
        self._is_proving = True
        try:
            visitor = await self.desk.keeper.hear(self._visitor, self._names, message.token, is_renewal=False)
            if self.conversation.is_open:
                self.desk.door.charge_owner(self, visitor.principals.values())
                self._let_in(visitor, text_frame(ack_message(ref=message.ref, at=self.clock.wall())))
        except Refusal as refusal:
            self._send_away(refusal)

    def _let_in(self, visitor: Visitor, opening: bytes) -> Correspondent:
        return self._succeed(self, visitor, opening)

    def decline(self, message: Message, refusal: Refusal) -> None:
        self._write(problem_message(refusal, ref=message.ref, at=self.clock.wall()))

    def _write(self, message: bytes) -> None:
        if self.conversation.transport is not None and self.conversation.is_open:
            self.conversation.transport.write(text_frame(message))

    def _send_away(self, refusal: Refusal) -> None:
        self._hub.unproved.drop(self, self._alarm)
        if self.conversation.is_open:  # otherwise it has left, or was sent away while it was verified
            self.desk.door.sent_away("websocket", refusal)
            self.conversation.close(refusal.close_code, reason_of(refusal))


def open_newcomer(
    request: web.BaseRequest,
    hub: Hub,
    clock: Clock,
    desk: Desk,
    visitor: Visitor,
    names: Iterable[str],
    succeed: Succeed,
    *,
    is_strict: bool,
) -> web.StreamResponse:
    """Answer the handshake, and wait for what the client says; raises Overloaded if too many wait already."""
    if len(hub.unproved) >= MAX_NEWCOMERS:
        complaint = f"{MAX_NEWCOMERS} clients have yet to say who they are"
        raise Overloaded(complaint, limit="newcomers", retry_after=COME_BACK)
    extension = accepted_extension(request.headers)
    head = accept_head(request, id_field(request), extension=extension)
    conversation = Conversation(is_deflated=extension is not None)
    newcomer = Newcomer(hub, clock, desk, visitor, names, succeed, conversation, is_strict=is_strict)
    transport, tail = take_over_upgraded(request, newcomer)
    if transport is not None:
        newcomer.begin(transport, head, tail)
    return TakenOver(101)
