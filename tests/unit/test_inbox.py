"""What a WebSocket client says is obeyed in order, also what takes time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from pushgate.adapters.downstream.conversation import Conversation
from pushgate.adapters.downstream.inbox import MAX_ASIDE, MAX_WAITING, Inbox, Work
from pushgate.adapters.downstream.messages import Message, Ping, Send, Subscribe
from pushgate.errors import BadRequest, Refusal
from slowclients import client_frame


class Wire:
    """A transport that takes everything, and can be told not to read."""

    def __init__(self) -> None:
        self.is_read = True

    def write(self, data: bytes) -> None:
        """It is written."""

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True


class Clerk:
    """Obeys at once, but for what is sent: that waits for its gate. ``done`` tells in which order."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.wire = Wire()
        self.conversation = Conversation()
        self.conversation.transport = cast("asyncio.Transport", self.wire)
        self.inbox = Inbox(self, self.conversation, tasks)
        self.gates: dict[Any, asyncio.Event] = {}
        self.done: list[Any] = []
        self.declined: list[Any] = []
        self.has_crashed = False
        self.failure: Exception | None = None  # of what is sent

    def obey(self, message: Message) -> Work | None:
        if isinstance(message, Send):
            return self._send(message)
        if isinstance(message, Subscribe):
            raise BadRequest("no")
        self.done.append(message.ref)
        return None

    async def _send(self, message: Send) -> None:
        await self.gate(message.ref).wait()
        if self.failure is not None:
            raise self.failure
        self.done.append(message.ref)

    def gate(self, ref: Any) -> asyncio.Event:
        return self.gates.setdefault(ref, asyncio.Event())

    def decline(self, message: Message, refusal: Refusal) -> None:
        self.declined.append(message.ref)

    def hear_on(self) -> None:
        self.hear(b"")

    def hear(self, data: bytes) -> None:
        for message in self.conversation.receive(data):
            self.inbox.take(message)

    def crash(self) -> None:
        self.has_crashed = True


@asynccontextmanager
async def clerk() -> AsyncIterator[Clerk]:
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        here = Clerk(tasks)
        yield here
        here.inbox.stop()


async def turn() -> None:
    """Let everybody have a few turns."""
    for _ in range(5):
        await asyncio.sleep(0)


def ping(ref: Any) -> Ping:
    return Ping(op="ping", ref=ref)


def send(ref: Any) -> Send:
    return Send(op="send", topic="/t", ref=ref)


async def test_what_takes_no_time_is_obeyed_at_once() -> None:
    async with clerk() as here:
        here.inbox.take(ping(1))
        assert here.done == [1]


async def test_what_follows_waits_for_what_takes_time() -> None:
    """However many of them take time, and whichever could be done first."""
    async with clerk() as here:
        for message in (ping(1), send(2), ping(3), send(4), ping(5)):
            here.inbox.take(message)
        here.gate(4).set()
        await turn()
        assert here.done == [1]
        here.gate(2).set()
        await turn()
        assert here.done == [1, 2, 3, 4, 5]
        here.inbox.take(ping(6))
        assert here.done[-1] == 6


async def test_a_refusal_is_told_in_its_turn() -> None:
    """Whether it comes at once or takes time; what follows is obeyed all the same."""
    async with clerk() as here:
        here.failure = BadRequest("not so")
        for message in (send(1), Subscribe(op="subscribe", topic="/t", ref=2), ping(3)):
            here.inbox.take(message)
        assert here.declined == []
        here.gate(1).set()
        await turn()
        assert (here.declined, here.done, here.has_crashed) == ([1, 2], [3], False)


async def test_who_says_too_much_is_not_read() -> None:
    """Until all is done; and what had been read already waits as it came."""
    async with clerk() as here:
        here.inbox.take(send(0))
        frames = [client_frame(b'{"op":"ping","ref":"%s"}' % (b"x" * 2000)) for _ in range(10 * MAX_WAITING)]
        here.hear(b"".join(frames))
        assert not here.wire.is_read
        here.gate(0).set()
        await turn()
        assert (len(here.done), here.wire.is_read) == (1 + len(frames), True)


async def test_who_does_not_read_is_not_read_for_another_reason() -> None:
    """Each reason stands for itself: the end of one is not the end of the other."""
    async with clerk() as here:
        here.inbox.take(send(0))
        for ref in range(MAX_WAITING):
            here.inbox.take(ping(ref))
        here.conversation.pause_reading("writing")
        here.gate(0).set()
        await turn()
        assert not here.wire.is_read
        here.conversation.resume_reading("writing")
        assert here.wire.is_read


async def test_when_the_client_has_gone_nothing_more_is_begun() -> None:
    """And what is under way is given up, begun or not."""
    async with clerk() as here:
        for message in (send(1), ping(2)):
            here.inbox.take(message)
        await turn()
        here.inbox.stop()
        here.gate(1).set()
        await turn()
        assert here.done == []
    async with clerk() as here:
        here.inbox.take(send(1))
        here.inbox.stop()


async def test_after_a_close_nothing_is_obeyed() -> None:
    """What waited behind the message under way is let be."""
    async with clerk() as here:
        for message in (send(1), ping(2)):
            here.inbox.take(message)
        here.conversation.end()
        here.gate(1).set()
        await turn()
        assert here.done == [1]


async def test_a_bug_of_ours_ends_this_connection_only() -> None:
    """The tasks of everybody else, in the same group, go on."""
    async with clerk() as here:
        here.failure = ValueError("a bug")
        here.inbox.take(send(1))
        here.gate(1).set()
        await turn()
        assert here.has_crashed


async def test_what_is_put_aside_holds_nobody_up() -> None:
    """So much at once, and no more; a refusal of it is told as any."""
    async with clerk() as here:

        async def put(message: Message, work: Work) -> None:
            await here.inbox.wait_for_room()
            here.inbox.put_aside(message, work)

        for ref in range(MAX_ASIDE):
            await put(send(ref), here._send(send(ref)))
        here.inbox.take(ping("after"))
        late = asyncio.ensure_future(here.inbox.wait_for_room())
        await turn()
        assert (here.done, late.done()) == (["after"], False)
        here.failure = BadRequest("no")
        here.gate(7).set()
        await late
        assert here.declined == [7]


@pytest.mark.parametrize("is_first", [True, False])
async def test_silence_counts_only_while_somebody_listens(is_first: bool) -> None:
    """Pings that wait behind what takes time are not missed."""
    async with clerk() as here:
        here.hear(client_frame(b'{"op":"ping"}'))
        if is_first:
            here.inbox.take(send(1))
            for ref in range(MAX_WAITING):
                here.inbox.take(ping(ref))
        assert [here.conversation.has_fallen_silent() for _ in range(5)][-1] is not is_first
