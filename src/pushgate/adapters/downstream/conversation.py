"""
The WebSocket protocol (RFC 6455) on a socket of ours: what the client says, and what pushgate says to it alone.

It goes through the sans-I/O protocol of ``websockets``, which costs 2 KB and so is made when the client first says
something.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator

from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol, Side, State

from ...errors import BadRequest
from .messages import Message, Ping, read_message

# Clients say little: a subscription, a ping. More than this is a mistake or an attack.
MAX_MESSAGE_BYTES = 64 * 1024

# Who has promised to send pings is gone when it has missed so many.
MAX_MISSED_PINGS = 2

# How long a client may take to answer a close frame.
CLOSE_TIMEOUT = 5.0

# How long what a client was still sending is read and thrown away.
HANG_UP_TIMEOUT = 2.0


class Conversation:
    """
    One client's side of the protocol; ``transport`` is None before the socket is ours and after it is gone.

    ``is_deflated``: the two have agreed on what ``extensions.py`` answers.
    """

    __slots__ = ("_closing", "_fragments", "_is_deflated", "_protocol", "_silent_beats", "transport")

    def __init__(self, *, is_deflated: bool = False) -> None:
        self._is_deflated = is_deflated
        self.transport: asyncio.Transport | None = None
        self._protocol: Protocol | None = None
        self._fragments = bytearray()  # of a message that has not ended yet
        self._closing: asyncio.TimerHandle | None = None
        self._silent_beats: int | None = None  # heartbeats since it last said anything; None: it has promised nothing

    @property
    def protocol(self) -> Protocol:
        if self._protocol is None:
            self._protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=MAX_MESSAGE_BYTES)
            if self._is_deflated:
                self._protocol.extensions = [_inflater()]
        return self._protocol

    def receive(self, data: bytes) -> Iterator[Message]:
        """
        Take in what the client sent, and yield its messages as long as the conversation is open.

        Pings and closes are answered here, and what cannot be understood ends the conversation.
        """
        protocol = self.protocol
        protocol.receive_data(data)
        texts = [self._assemble(event) for event in protocol.events_received() if isinstance(event, Frame)]
        self.flush()
        for text in texts:
            if text is not None and self.is_open and (message := self._understand(text)):
                yield message

    def _understand(self, text: bytes) -> Message | None:
        try:
            message = read_message(text)
        except BadRequest as refusal:
            self.close(CloseCode.POLICY_VIOLATION, refusal.message)
            return None
        if isinstance(message, Ping) or self._silent_beats is not None:
            self._silent_beats = 0  # who has sent a ping of its own accord promises to go on saying something
        return message

    def _assemble(self, frame: Frame) -> bytes | None:
        if frame.opcode is Opcode.BINARY:
            self.close(CloseCode.UNSUPPORTED_DATA, "messages are text")
        if frame.opcode not in (Opcode.TEXT, Opcode.CONT):
            return None
        self._fragments += frame.data
        if not frame.fin:
            return None
        message, self._fragments = bytes(self._fragments), bytearray()
        if not _is_utf8(message):
            self.close(CloseCode.INVALID_DATA, "messages are UTF-8")
            return None
        return message

    def has_fallen_silent(self, *, is_listening: bool) -> bool:
        """
        Whether the client has broken its promise twice; asked at each heartbeat.

        The first one after a message counts as kept. ``is_listening``: what the client says is read; otherwise nothing
        counts.
        """
        if self._silent_beats is None or not self.is_open or not is_listening:
            return False
        self._silent_beats += 1
        return self._silent_beats > MAX_MISSED_PINGS

    def close(self, code: int, reason: str) -> None:
        """Say why, and wait a moment for the client's own close frame."""
        if self.transport is None or self.protocol.state is not State.OPEN:
            return
        self.protocol.send_close(code, reason[:120])
        self.flush()
        self._end_soon(self.transport, CLOSE_TIMEOUT)

    def flush(self) -> None:
        """Write what the protocol wants written; the empty piece is its wish to close."""
        if self.transport is None:
            return
        for piece in self.protocol.data_to_send():
            if piece:
                self.transport.write(piece)
            else:
                self._hang_up(self.transport)

    def _hang_up(self, transport: asyncio.Transport) -> None:
        """
        Say that nothing more will come, and listen on while the client may still be sending.

        A socket that is closed with something unread in it is reset, and the client would never see why.
        """
        if self.protocol.close_rcvd is not None or not transport.can_write_eof():
            transport.close()
            return
        transport.write_eof()
        self._end_soon(transport, HANG_UP_TIMEOUT)

    def _end_soon(self, transport: asyncio.Transport, delay: float) -> None:
        if self._closing is None:
            self._closing = asyncio.get_running_loop().call_later(delay, transport.abort)

    def pause_reading(self) -> None:
        """Who does not read is not listened to either: the answers to its pings would pile up."""
        if self.transport is not None:
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self.transport is not None:
            self.transport.resume_reading()

    def abort(self) -> None:
        """Cut the connection without a word."""
        if self.transport is not None:
            self.transport.abort()

    def end(self) -> None:
        self.transport = None
        if self._closing is not None:
            self._closing.cancel()

    @property
    def is_open(self) -> bool:
        return self.transport is not None and (self._protocol is None or self._protocol.state is State.OPEN)


def _inflater() -> PerMessageDeflate:
    """Return what keeps nothing from one message to the next, and so no window of 32 KB."""
    return PerMessageDeflate(True, True, zlib.MAX_WBITS, zlib.MAX_WBITS)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
