"""
The WebSocket protocol (RFC 6455) on a socket of ours: what the client says, and what pushgate says to it alone.

It goes through the sans-I/O protocol of ``websockets``, which costs 2 KB and so is made when the client first says
something.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator
from typing import Literal, TypeAlias

from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol, Side, State

from ...admission import Admission
from ...errors import BadRequest
from ...quantities import Rate
from .messages import Message, Ping, read_message

# Clients say little: a subscription, a ping. More than this is a mistake or an attack.
MAX_MESSAGE_BYTES = 64 * 1024

# So much is understood at a time: compressed messages may be a thousand times as long as what was sent.
PIECE_BYTES = 4 * 1024

# Who has promised to send pings is gone when it has missed so many.
MAX_MISSED_PINGS = 2

# Frames that say nothing: pings, pongs, fragments without data. A client sends one in a few seconds, and many at once
# only after its machine has slept; each costs us about as much as an event.
TRIFLES = Rate(100, 5.0)

# How long a client may take to answer a close frame.
CLOSE_TIMEOUT = 5.0

# How long what a client was still sending is read and thrown away.
HANG_UP_TIMEOUT = 2.0

# Why a client is not listened to: it does not read what is written to it, or has said more than is obeyed yet.
Deafness: TypeAlias = Literal["writing", "inbox"]


class Conversation:
    """
    One client's side of the protocol; ``transport`` is None before the socket is ours and after it is gone.

    ``is_deflated``: the two have agreed on what ``extensions.py`` answers.
    """

    __slots__ = (
        *("_closing", "_deaf_for", "_fragments", "_protocol", "_resumption", "_silent_beats", "_trifles", "_unread"),
        *("is_deflated", "transport"),
    )

    def __init__(self, *, is_deflated: bool = False) -> None:
        self.is_deflated = is_deflated
        self.transport: asyncio.Transport | None = None
        self._protocol: Protocol | None = None
        self._fragments = bytearray()  # of a message that has not ended yet
        self._closing: asyncio.TimerHandle | None = None
        self._deaf_for: frozenset[Deafness] = frozenset()  # why the client is not listened to for now
        self._unread = b""  # what came although nobody listens
        self._resumption: asyncio.Future[None] | None = None  # done when the client reads again
        self._silent_beats: int | None = None  # heartbeats since it last said anything; None: it has promised nothing
        self._trifles: Admission | None = None  # until there was one

    @property
    def protocol(self) -> Protocol:
        if self._protocol is None:
            self._protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=MAX_MESSAGE_BYTES)
            if self.is_deflated:
                self._protocol.extensions = [_inflater()]
        return self._protocol

    def receive(self, data: bytes) -> Iterator[Message]:
        """
        Take in what the client sent, and yield its messages as long as the conversation is open.

        Pings and closes are answered here, and what cannot be understood ends the conversation. What comes while the
        inbox takes no more is kept until it is called again.
        """
        self._unread += data
        while self._unread and "inbox" not in self._deaf_for:
            piece, self._unread = self._unread[:PIECE_BYTES], self._unread[PIECE_BYTES:]
            yield from self._read(piece)

    def _read(self, data: bytes) -> Iterator[Message]:
        protocol = self.protocol
        protocol.receive_data(data)
        frames = [event for event in protocol.events_received() if isinstance(event, Frame)]
        texts = [self._assemble(frame) for frame in frames]
        for _ in filter(_is_trifle, frames):
            self._count_trifle()
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
        if isinstance(message, Ping):
            self._count_trifle()
            if not self.is_open:
                return None
        if isinstance(message, Ping) or self._silent_beats is not None:
            self._silent_beats = 0  # who has sent a ping of its own accord promises to go on saying something
        return message

    def _count_trifle(self) -> None:
        """End the conversation with a client that says nothing too often, and do not even read what it says then."""
        if self._trifles is None:
            self._trifles = Admission(TRIFLES)
        now = asyncio.get_running_loop().time()
        if self._trifles.admit(now, chance=0.0) is not None and self.protocol.state is State.OPEN:
            self.protocol.fail(CloseCode.POLICY_VIOLATION, "too many pings")
            self.flush()

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

    def has_fallen_silent(self) -> bool:
        """
        Whether the client has broken its promise twice; asked at each heartbeat.

        The first one after a message counts as kept, and nothing counts while nobody listens to it.
        """
        if self._silent_beats is None or not self.is_open or self._deaf_for:
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

    def pause_reading(self, why: Deafness) -> None:
        """Who does not read is not listened to either: the answers to its pings would pile up."""
        self._deaf_for |= {why}
        if self.transport is not None:
            self.transport.pause_reading()

    def resume_reading(self, why: Deafness) -> None:
        self._deaf_for -= {why}
        if self._resumption is not None and self.is_writable:
            self._resumption.set_result(None)
            self._resumption = None
        if self.transport is not None and not self._deaf_for:
            self.transport.resume_reading()

    @property
    def is_writable(self) -> bool:
        return "writing" not in self._deaf_for

    async def until_writable(self) -> None:
        """Wait until the client reads what is written to it, which ends: who does not is cut off after a while."""
        while not self.is_writable:
            if self._resumption is None:
                self._resumption = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._resumption])

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


def _is_trifle(frame: Frame) -> bool:
    """Whether a frame says nothing; the last fragment of a message may be empty, and has ended it."""
    if frame.opcode in (Opcode.PING, Opcode.PONG):
        return True
    return frame.opcode in (Opcode.TEXT, Opcode.CONT) and not frame.data and not frame.fin


def _inflater() -> PerMessageDeflate:
    """Return what keeps nothing from one message to the next, and so no window of 32 KB."""
    return PerMessageDeflate(True, True, zlib.MAX_WBITS, zlib.MAX_WBITS)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
