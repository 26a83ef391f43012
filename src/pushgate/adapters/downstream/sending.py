"""
``send``: a write that comes over a WebSocket, and the ``ack`` of what became of it.

Rule 1: writes of one connection reach the upstream one after the other; what they changed may settle meanwhile.
Rule 2: an ack that says ``settled`` comes after the change, also to a client that is told in its turn, or is slow; to
one that wants to be told less often it does not say so before it has been told.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection
from typing import Protocol

from ...answers import Answer
from ...auth.visitor import Visitor
from ...clock import Clock
from ...correlation import Trail
from ...documents.changes import encode
from ...errors import MethodNotAllowed, NotAuthenticated, PollError, UpstreamRefused
from ...routes import Route, TopicName
from ...subscriber import Subscriber
from ...values import Json
from ...wire import ack_message
from ...writes import Sent
from ..upstream.formats import json
from ..upstream.formats.charsets import media_type, text_of
from .desk import Desk
from .inbox import Inbox
from .messages import Send
from .replies import JSON
from .writing import Written

# An ack carries no more of what the upstream said: it is about as long as what a client may say itself.
MAX_SHOWN_BYTES = 64 * 1024


class Sender(Protocol):
    """The connection on which somebody writes."""

    @property
    def inbox(self) -> Inbox: ...

    @property
    def subscriptions(self) -> Collection[Subscriber]: ...

    def say(self, message: bytes) -> None:
        """Write a message to the client."""


async def send(message: Send, sender: Sender, visitor: Visitor, desk: Desk, clock: Clock) -> None:
    """Write as the visitor, and acknowledge it when it is settled; raises the Refusal of what is not done."""
    await sender.inbox.wait_for_room()
    route, name, caller = desk.host.find(message.topic, visitor)
    if not isinstance(route, Route) or not route.writes:
        raise MethodNotAllowed(f"nothing can be written to {name.text}")
    if caller.principal is not None and caller.principal.auth in visitor.ticketed:
        raise NotAuthenticated("ticket_misused", "a ticket is for listening; say who you are before you write")
    written = await desk.writer.write(route, next(iter(route.writes)), name, caller, _sent(message, desk))
    if written.is_refused:
        raise UpstreamRefused(written.answer.status, _shown(written.answer))
    sender.inbox.put_aside(message, _acknowledge(message, sender, written, clock))


def _sent(message: Send, desk: Desk) -> Sent:
    trail = Trail(desk.ids())  # of its own, since it is a request of its own to the backend
    if "data" not in message.model_fields_set:
        return Sent(b"", trail=trail)
    return Sent(encode(message.data), JSON, trail=trail)


async def _acknowledge(message: Send, sender: Sender, written: Written, clock: Clock) -> None:
    is_settled = await written.is_settled()
    polled = {channel.name.key for channel in written.awaited}
    conversation = sender.inbox.conversation
    while True:
        await conversation.until_writable()
        concerned = [one for one in sender.subscriptions if _polled(one.channel.name).key in polled]
        told = [one.channel.hurry(one) for one in concerned]
        if all(told) or conversation.is_writable:
            break
    shown = {"status": written.answer.status, **_shown(written.answer), "settled": is_settled and all(told)}
    sender.say(ack_message(ref=message.ref, at=clock.wall(), **shown))


def _polled(name: TopicName) -> TopicName:
    """Return whose document a topic is, or is a part of."""
    return name.parent or name


def _shown(answer: Answer) -> dict[str, Json]:
    """Return what an upstream said, as far as a message can hold it: JSON if its type says so, or text, or bytes."""
    body = answer.body
    if not body:
        return {"data": None}
    if len(body) > MAX_SHOWN_BYTES:
        return {"data": None, "omitted": len(body)}
    try:
        if media_type(answer.content_type).endswith(("/json", "+json")):
            return {"data": json.decode(body, answer.content_type)}
    except PollError:
        pass  # it only says that it is JSON
    try:
        return {"data": text_of(body, answer.content_type)}
    except PollError:
        return {"encoding": "base64", "data": b64encode(body).decode()}
