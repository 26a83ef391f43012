"""Promises to ping, counted by heartbeats; and pings that are none."""

from __future__ import annotations

import asyncio
import json
from typing import cast

import pytest
from websockets.frames import CloseCode

from pushgate.adapters.downstream.conversation import TRIFLES, Conversation
from slowclients import client_frame


@pytest.fixture
def conversation() -> Conversation:
    here = Conversation()
    here.transport = cast("asyncio.Transport", Wire())
    return here


class Wire:
    """A transport that takes everything."""

    written = 0

    def write(self, data: bytes) -> None:
        self.written += len(data)

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        """It is closed when what was written has gone."""

    def pause_reading(self) -> None:
        """Nothing is read from it anyway."""

    resume_reading = pause_reading


def say(conversation: Conversation, *, is_ping: bool) -> None:
    """Let the client say something."""
    message = {"op": "ping"} if is_ping else {"op": "unsubscribe", "topic": "/t"}
    assert len(list(conversation.receive(client_frame(json.dumps(message).encode())))) == 1


def beats(conversation: Conversation, times: int) -> list[bool]:
    return [conversation.has_fallen_silent() for _ in range(times)]


async def test_who_never_sent_a_ping_owes_none(conversation: Conversation) -> None:
    say(conversation, is_ping=False)
    assert beats(conversation, 10) == [False] * 10


async def test_two_missed_pings_break_the_promise(conversation: Conversation) -> None:
    """The first heartbeat after a message is kept, the next two are missed."""
    say(conversation, is_ping=True)
    assert beats(conversation, 3) == [False, False, True]


@pytest.mark.parametrize("is_ping", [True, False])
async def test_any_message_keeps_it(conversation: Conversation, is_ping: bool) -> None:
    say(conversation, is_ping=True)
    for _ in range(5):
        assert beats(conversation, 2) == [False, False]
        say(conversation, is_ping=is_ping)


async def test_nothing_counts_while_nobody_listens_to_the_client(conversation: Conversation) -> None:
    """Who does not read is not read either, so its pings may be waiting."""
    say(conversation, is_ping=True)
    conversation.pause_reading("writing")
    assert beats(conversation, 10) == [False] * 10
    conversation.resume_reading("writing")
    assert beats(conversation, 3) == [False, False, True]


async def test_nothing_counts_after_the_end(conversation: Conversation) -> None:
    say(conversation, is_ping=True)
    conversation.end()
    assert beats(conversation, 10) == [False] * 10


class TestFloods:
    def flood(self, conversation: Conversation, frame: bytes, times: int) -> bool:
        """Whether the conversation goes on after so many of these."""
        for _ in conversation.receive(frame * times):
            pass
        return conversation.is_open

    @pytest.mark.parametrize(
        "frame",
        [
            client_frame(b"", opcode=9),
            client_frame(b"x" * 125, opcode=9),
            client_frame(b"", opcode=10),
            client_frame(b'{"op":"ping"}'),
        ],
        ids=["ping", "long ping", "pong", "op ping"],
    )
    async def test_who_says_nothing_too_often_is_not_listened_to(
        self, conversation: Conversation, frame: bytes
    ) -> None:
        """A hundred at once are no flood: a machine that wakes up sends what it has kept."""
        assert self.flood(conversation, frame, TRIFLES.count)
        assert not self.flood(conversation, frame, 50)
        assert conversation.protocol.close_sent is not None
        assert (conversation.protocol.close_sent.code, conversation.protocol.close_sent.reason) == (
            CloseCode.POLICY_VIOLATION,
            "too many pings",
        )

    async def test_nothing_is_answered_after_that(self, conversation: Conversation) -> None:
        """One piece may be read to its end, but no other."""
        self.flood(conversation, client_frame(b"", opcode=9), 100_000)
        wire = cast("Wire", conversation.transport)
        assert wire.written < 10_000

    async def test_fragments_without_data_are_a_flood(self, conversation: Conversation) -> None:
        assert self.flood(conversation, b"\x01\x80\0\0\0\0" + b"\x00\x80\0\0\0\0" * (TRIFLES.count - 1), 1)
        assert not self.flood(conversation, b"\x00\x80\0\0\0\0", 50)

    async def test_many_messages_that_say_something_are_none(self, conversation: Conversation) -> None:
        """A client may follow a thousand topics, and says so in a thousand messages."""
        assert self.flood(conversation, client_frame(b'{"op":"subscribe","topic":"/t"}'), 1000)

    async def test_fragments_with_data_are_one_message(self, conversation: Conversation) -> None:
        text = b'{"op":"unsubscribe","topic":"/' + b"t" * 300 + b'"}'
        pieces = [b"\x00\x81\0\0\0\0" + text[at : at + 1] for at in range(1, len(text))]
        frames = b"\x01\x81\0\0\0\0" + text[:1] + b"".join(pieces) + b"\x80\x80\0\0\0\0"
        assert len(list(conversation.receive(frames))) == 1
