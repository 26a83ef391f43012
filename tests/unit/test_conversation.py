"""Promises to ping, counted by heartbeats."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest

from pushgate.adapters.downstream.conversation import Conversation
from slowclients import client_frame


@pytest.fixture
def conversation() -> Conversation:
    here = Conversation()
    here.transport = cast("asyncio.Transport", Wire())
    return here


class Wire:
    """A transport that takes everything."""

    def write(self, data: bytes) -> None:
        """It is written."""


def say(conversation: Conversation, *, is_ping: bool) -> None:
    """Let the client say something."""
    message = {"op": "ping"} if is_ping else {"op": "unsubscribe", "topic": "/t"}
    assert len(list(conversation.receive(client_frame(json.dumps(message).encode())))) == 1


def beats(conversation: Conversation, times: int, **options: Any) -> list[bool]:
    options = {"is_listening": True, **options}
    return [conversation.has_fallen_silent(**options) for _ in range(times)]


def test_who_never_sent_a_ping_owes_none(conversation: Conversation) -> None:
    say(conversation, is_ping=False)
    assert beats(conversation, 10) == [False] * 10


def test_two_missed_pings_break_the_promise(conversation: Conversation) -> None:
    """The first heartbeat after a message is kept, the next two are missed."""
    say(conversation, is_ping=True)
    assert beats(conversation, 3) == [False, False, True]


@pytest.mark.parametrize("is_ping", [True, False])
def test_any_message_keeps_it(conversation: Conversation, is_ping: bool) -> None:
    say(conversation, is_ping=True)
    for _ in range(5):
        assert beats(conversation, 2) == [False, False]
        say(conversation, is_ping=is_ping)


def test_nothing_counts_while_nobody_listens_to_the_client(conversation: Conversation) -> None:
    """Who does not read is not read either, so its pings may be waiting."""
    say(conversation, is_ping=True)
    assert beats(conversation, 10, is_listening=False) == [False] * 10
    assert beats(conversation, 3) == [False, False, True]


def test_nothing_counts_after_the_end(conversation: Conversation) -> None:
    say(conversation, is_ping=True)
    conversation.end()
    assert beats(conversation, 10) == [False] * 10
