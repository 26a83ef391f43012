"""
WebSocket (RFC 6455): the same events, one envelope per text message, and a few words from the client.

The handshake is aiohttp's to parse and ours to answer; then the socket is taken over. What the server says to all is a
frame made once for all.
"""

from __future__ import annotations

import asyncio
import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping
from hashlib import sha1
from typing import ClassVar, assert_never

from aiohttp import web
from websockets.frames import CloseCode

from ...channel import Channel
from ...clock import Clock
from ...errors import BadRequest, Refusal
from ...hub import Hub
from ...negotiation import Ask, clean_cursor, read_mode
from ...subscriber import Subscriber, pace_of
from ...values import Parting, Transport
from ...wire import FRAMES, ack_message, http_head, problem_message, text_frame
from . import pulse
from .conversation import Conversation
from .extensions import accepted_extension
from .handover import TakenOver, take_over_upgraded
from .messages import Auth, Message, Ping, Send, Subscribe, Unsubscribe
from .replies import topic_fields

SUBPROTOCOL = "pushgate.v1"

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_head(request: web.BaseRequest, fields: Mapping[str, str], *, extension: str | None = None) -> bytes:
    """Return the answer to a handshake; raises BadRequest if it is none (RFC 6455 section 4.2.1)."""
    headers = request.headers
    key = headers.get("Sec-WebSocket-Key", "").strip()
    if headers.get("Sec-WebSocket-Version") != "13":
        raise BadRequest("this WebSocket version is not spoken here", headers={"Sec-WebSocket-Version": "13"})
    if "upgrade" not in headers.get("Connection", "").lower() or not _is_key(key):
        raise BadRequest("this is no WebSocket handshake (RFC 6455 section 4.2.1)")
    answer = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": b64encode(sha1(key.encode() + _GUID).digest()).decode(),
        **fields,
    }
    if SUBPROTOCOL in [name.strip() for name in headers.get("Sec-WebSocket-Protocol", "").split(",")]:
        answer["Sec-WebSocket-Protocol"] = SUBPROTOCOL
    if extension is not None:
        answer["Sec-WebSocket-Extensions"] = extension
    return http_head("101 Switching Protocols", answer)


def _is_key(text: str) -> bool:
    try:
        return len(b64decode(text, validate=True)) == 16
    except binascii.Error:
        return False


def is_browser(request: web.BaseRequest) -> bool:
    """Whether the client would see nothing of a refused handshake, as a browser does."""
    return "Origin" in request.headers or "Sec-WebSocket-Protocol" in request.headers


class WebSocketStream(Subscriber):
    """One WebSocket client; the protocol of its socket."""

    __slots__ = ("_clock", "_conversation", "_hub", "_is_subscribed")

    transport_name: ClassVar[Transport] = "websocket"

    def __init__(self, hub: Hub, channel: Channel, ask: Ask, clock: Clock, *, is_deflated: bool) -> None:
        form = FRAMES.choose(is_deflated=is_deflated)
        super().__init__(channel, mode=ask.mode, form=form, send=_not_yet, pace=pace_of(ask.throttle))
        self.heartbeat = ask.heartbeat
        self._hub = hub
        self._clock = clock
        self._conversation = Conversation(is_deflated=is_deflated)
        self._is_subscribed = False

    def begin(self, transport: asyncio.Transport, cursor: str | None, opening: bytes, tail: bytes) -> None:
        """Start the stream; ``tail`` is what the client sent right behind its handshake."""
        self._conversation.transport = transport
        self.send = transport.write
        self._hub.enter(self)
        self._join(cursor, opening=opening)
        if tail:
            self.data_received(tail)

    def beat(self) -> None:
        """Give a sign of life to whoever gives them too, or never said that it would."""
        if self._conversation.has_fallen_silent(is_listening=not self.is_paused):
            self._close(CloseCode.POLICY_VIOLATION, "no ping", parting="no_ping")
        else:
            super().beat()

    def check(self, silence: float) -> None:
        pulse.check(self, self._conversation.transport, silence)

    def abort(self) -> None:
        self._conversation.abort()

    def farewell(self, *, retry_after: float) -> None:
        self._close(CloseCode.SERVICE_RESTART, f"retry_after_ms={round(retry_after * 1000)}", parting="drained")

    def finish(self) -> None:
        self._close(CloseCode.NORMAL_CLOSURE, "end", parting="ended")

    def refuse(self, refusal: Refusal) -> None:
        self._close(refusal.close_code, reason_of(refusal), parting="refused")

    # What the transport says.

    def pause_writing(self) -> None:
        super().pause_writing()
        self._conversation.pause_reading()

    def resume_writing(self) -> None:
        self._conversation.resume_reading()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        for message in self._conversation.receive(data):
            try:
                self._obey(message)
            except Refusal as refusal:
                self._decline(message, refusal)
        if not self._conversation.is_open:
            self._fall_silent()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._conversation.transport is not None:
            self._conversation.end()
            self._hub.exit(self)
            self._leave()

    # What the client says.

    def _obey(self, message: Message) -> None:
        match message:
            case Ping():
                self._acknowledge(message)
            case Subscribe():
                self._check_topic(message.topic)
                mode = read_mode(message.emit, self.channel.route.modes)
                self._leave()
                self.channel = self._hub.channel(self.channel.route, self.channel.name)  # it may have been forgotten
                self.mode = mode
                self._acknowledge(message)
                self._join(clean_cursor(message.cursor), opening=b"")
            case Unsubscribe():
                self._check_topic(message.topic)
                self.cursor = self.channel.position(self)  # heartbeats go on, and move it nowhere
                self._leave()
                self._acknowledge(message)
            case Auth() | Send():
                raise BadRequest(f"{message.op!r} is not offered here")
            case _:
                assert_never(message)

    def _check_topic(self, topic: str) -> None:
        if topic != self.channel.name.text:
            raise BadRequest(f"this connection follows {self.channel.name.text} and no other topic")

    def _decline(self, message: Message, refusal: Refusal) -> None:
        self.send(text_frame(problem_message(refusal, ref=message.ref, at=self._clock.wall())))

    def _acknowledge(self, message: Subscribe | Unsubscribe | Ping) -> None:
        self.send(text_frame(ack_message(ref=message.ref, at=self._clock.wall())))

    def _join(self, cursor: str | None, *, opening: bytes) -> None:
        self._is_subscribed = True
        self.channel.join(self, cursor, opening=opening)

    def _leave(self) -> None:
        if self._is_subscribed:
            self._is_subscribed = False
            self.channel.leave(self)

    def _close(self, code: int, reason: str, *, parting: Parting = "client") -> None:
        if self._conversation.is_open:
            self.parting = parting
        self._fall_silent()
        self._conversation.close(code, reason)

    def _fall_silent(self) -> None:
        """A close frame is the last that an endpoint sends (RFC 6455 section 5.5.1); heartbeats go on until the end."""
        self._leave()
        self.send = _nothing_more


def _nothing_more(data: bytes) -> None:
    """Where events go after a close frame."""


def _not_yet(data: bytes) -> None:
    raise AssertionError("nothing is sent before the socket is ours")


def open_stream(request: web.BaseRequest, hub: Hub, channel: Channel, ask: Ask, *, clock: Clock) -> web.StreamResponse:
    """Answer the handshake, take the socket over and start the stream."""
    extension = accepted_extension(request.headers)
    head = accept_head(request, topic_fields(channel), extension=extension)
    stream = WebSocketStream(hub, channel, ask, clock, is_deflated=extension is not None)
    transport, tail = take_over_upgraded(request, stream)
    if transport is not None:
        stream.begin(transport, ask.cursor, head, tail)
    return TakenOver()


def reason_of(refusal: Refusal) -> str:
    """Return what a close frame says of a refusal: its code, and when to come back if that is of any use."""
    wait = "" if refusal.retry_after is None else f" retry_after_ms={round(refusal.retry_after * 1000)}"
    return f"{refusal.code}{wait}"


class Refused:
    """A handshake that was accepted only so that a browser can be told why it was not."""

    __slots__ = ("_conversation",)

    def __init__(self) -> None:
        self._conversation = Conversation()

    def begin(self, transport: asyncio.Transport, head: bytes, refusal: Refusal) -> None:
        self._conversation.transport = transport
        transport.write(head)
        self._conversation.close(refusal.close_code, reason_of(refusal))

    def data_received(self, data: bytes) -> None:
        for _ in self._conversation.receive(data):
            pass  # it is over

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._conversation.end()

    def pause_writing(self) -> None:
        """A close frame always fits."""

    resume_writing = pause_writing


def refuse(request: web.BaseRequest, refusal: Refusal) -> web.StreamResponse:
    """Accept the handshake and close at once with the refusal's code and reason; raises BadRequest if it is none."""
    head = accept_head(request, {})
    refused = Refused()
    transport, _ = take_over_upgraded(request, refused)
    if transport is not None:
        refused.begin(transport, head, refusal)
    return TakenOver()
