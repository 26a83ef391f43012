"""
Whether anybody is still there at the other end of a connection: what the kernel knows of it, without a word to anybody.

Rule 1: who takes no bytes is slow, who acknowledges none is dead. A client that does not read lets its system answer
for it, also when the kernel asks whether there is room again; one that vanished lets nobody.
Rule 2: one late acknowledgement proves nothing. Dead is who was silent for the whole time and left two repetitions
without an answer, which takes less than the shortest heartbeat.
"""

from __future__ import annotations

import asyncio
import socket
from struct import Struct

from ...subscriber import Stream

# The beginning of Linux's ``struct tcp_info``: repetitions of data and probes that nobody has answered yet, segments
# that were not acknowledged, and the milliseconds since the last acknowledgement, whatever it was for.
_TCP_INFO = Struct("=2x2B4x16xI28xI")

# So many repetitions must be lost; they come after 0.2 and 0.6 seconds, or a few times the way there and back.
REPETITIONS = 2


def check(stream: Stream, transport: asyncio.Transport | None, silence: float) -> None:
    """Cut a stream whose client has acknowledged nothing for so many seconds although there was something."""
    if transport is not None and is_dead(transport, silence):
        stream.parting = "dead"
        stream.abort()


def is_dead(transport: asyncio.Transport, silence: float) -> bool:
    """
    Whether something was sent to the other side that it has not acknowledged, and nothing else either for so long.

    False where the system does not tell.
    """
    if not hasattr(socket, "TCP_INFO") or (sock := _borrow(transport)) is None:
        return False
    try:
        told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    finally:
        sock.detach()
    retransmits, probes, unacknowledged, milliseconds = _TCP_INFO.unpack(told)
    is_unanswered = probes >= REPETITIONS or (unacknowledged > 0 and retransmits >= REPETITIONS)
    return bool(is_unanswered and milliseconds >= silence * 1000)


def be_patient(transport: asyncio.Transport) -> None:
    """Have the kernel wait for a client that does not read for as long as its system answers; others are found here."""
    if not hasattr(socket, "TCP_USER_TIMEOUT") or (sock := _borrow(transport)) is None:
        return
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 0)
    finally:
        sock.detach()


def _borrow(transport: asyncio.Transport) -> socket.SocketType | None:
    """
    Return the socket of a transport, to be detached again; None if it has gone.

    uvloop shows one that can tell no more than its number. Of the standard library's two classes it is the plain one,
    which is made in half the time.
    """
    sock = transport.get_extra_info("socket")
    number = -1 if sock is None else sock.fileno()
    return None if number < 0 else socket.SocketType(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=number)
