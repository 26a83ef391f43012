"""
The heads of requests: aiohttp reads them, and here is how long one may take and how large it may be.

aiohttp by itself closes a connection on which no request was complete for as long as an idle one is kept, however the
client passes that time; and it answers what it cannot read with the words that it could not read.

Rule 1: whoever has begun a request completes its head soon. Most heads come in one piece and cost nothing more; only
who sends the first piece of one gets an alarm.
Rule 2: a refusal is told before the connection is closed, and what still comes is thrown away meanwhile: a socket that
is closed with something unread in it is reset, and the client would never see why.
Rule 3: nothing of a request that is refused is repeated, neither to the client nor in the log; it may be a credential.
tests/integration/test_heads.py pins this to the installed aiohttp.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from aiohttp import http_exceptions, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import _ErrInfo

from ...alarms import Alarms
from ...correlation import REQUEST_ID, RequestIds
from ...errors import BadRequest, FieldsTooLarge, LineTooLong, Refusal, RequestTooLate
from .handover import TakenOver
from .replies import refusal_reply

# The time from the first byte of a request to the end of its head, in seconds: what a slow network needs for the few
# packets of the largest head. Until the first byte comes, a connection is idle, and kept as long as an idle one is.
HEAD_PATIENCE: Final = 10.0

# How long whoever was refused has to read why, in seconds.
LINGER: Final = 2.0

# A request line holds at most a path, a query and a cursor; or the names of hundreds of topics, each with its cursor.
MAX_LINE_BYTES: Final = 64 * 1024

# Browsers send about 20 header fields, and proxies add a few; together they rarely have more than 4 KB.
MAX_FIELDS: Final = 100
MAX_FIELDS_BYTES: Final = 64 * 1024

# A single one: a token of the largest identity providers, or all cookies of a site.
MAX_FIELD_BYTES: Final = 16 * 1024


class _AsAccepted(BaseProtocol):
    """What aiohttp's protocols have in common, without the option that it sets on every socket by itself."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)


class _Receiver(web.RequestHandler, _AsAccepted):
    """
    aiohttp's reader of requests on a connection that ``listen`` has given its options.

    Its ``super().connection_made`` finds ours in front of aiohttp's, which is all that the second base is for.
    """

    __slots__ = ("alarm", "head_bytes", "server")

    server: Server
    alarm: int  # the place of the last one; 0: never yet
    head_bytes: int  # what has come of a head that is not complete

    def data_received(self, data: bytes) -> None:
        if self._close:
            return  # it was refused
        super().data_received(data)
        if self._is_reading_head:
            self._wait_for_more(len(data))
        elif self.head_bytes or len(data) > MAX_FIELDS_BYTES:
            self.server.heads.drop(self, self.alarm)
            self.head_bytes = 0
            self._check_sizes()

    @property
    def _is_reading_head(self) -> bool:
        """Whether what has come is no whole request, and no part of a body: nothing is asked, or nothing was yet."""
        return not self._messages and (self._waiter is not None or not self._request_count)

    def _wait_for_more(self, size: int) -> None:
        if not self.head_bytes:
            self.alarm = self.server.heads.set(self, self.server.head_patience)
        self.head_bytes += size
        if self.head_bytes > MAX_LINE_BYTES + MAX_FIELDS_BYTES:
            self._refuse(_fields_too_large())

    def _check_sizes(self) -> None:
        """Have aiohttp answer a refusal to a request whose fields are too large together."""
        for index, (message, _) in enumerate(self._messages):
            if isinstance(message, RawRequestMessage) and _size_of_fields(message) > MAX_FIELDS_BYTES:
                error = http_exceptions.LineTooLong("", MAX_FIELDS_BYTES)
                self._messages[index] = _ErrInfo(status=431, exc=error, message=""), EMPTY_PAYLOAD

    def time_out(self) -> None:
        """Called when a head has taken too long, and again when its refusal has had its time."""
        if self._close and self.transport is not None:
            self.transport.abort()
        else:
            patience = self.server.head_patience
            self._refuse(RequestTooLate(f"the head of the request did not come within {patience:g}s"))

    def _refuse(self, refusal: Refusal) -> None:
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        self.close()  # reads nothing any more, and leaves the connection to us
        request_id = self.server.ids()
        reply = refusal_reply(refusal, request_id=request_id).with_fields({REQUEST_ID: request_id})
        transport.write(reply.to_bytes(keep_alive=False))
        if not transport.can_write_eof():
            transport.close()
            return
        transport.write_eof()
        self.server.heads.drop(self, self.alarm)
        self.alarm = self.server.heads.set(self, self.server.linger)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self.alarm:
            self.server.heads.drop(self, self.alarm)
        super().connection_lost(exc)

    def _make_error_handler(self, err_info: _ErrInfo) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
        """Say what is wrong with a head that aiohttp has given up, and no more; then aiohttp closes the connection."""
        refusal = _refusal_of(err_info.exc)

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            self._refuse(refusal)
            # No timeout: the connection ends when the client has left or has had its time, and this with it.
            await asyncio.get_running_loop().create_future()
            return TakenOver()

        return answer


class Server(web.Server):
    """
    aiohttp's server, for a socket of ``listen``: a connection is accepted without a system call for its options.

    Heads that take longer than ``head_patience`` are refused, and ``linger`` is how long that may be read.
    ``is_guarded``: whoever asks is looked at each time, so no request is known by heart.
    """

    head_patience, linger = HEAD_PATIENCE, LINGER
    ids: Callable[[], str] = RequestIds("-")  # set by who has some; these are for a listener that few see

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        is_guarded: bool = False,
        **options: Any,
    ) -> None:
        self.is_guarded = is_guarded
        sizes = {"max_line_size": MAX_LINE_BYTES, "max_headers": MAX_FIELDS, "max_field_size": MAX_FIELD_BYTES}
        super().__init__(handler, **{"handler_cancellation": True, "lingering_time": LINGER, **sizes, **options})
        self.heads: Alarms[_Receiver] = Alarms()  # each with the time by which it must be complete

    def __call__(self) -> web.RequestHandler:
        receiver = _Receiver(self, loop=self._loop, **self._kwargs)
        receiver.server, receiver.alarm, receiver.head_bytes = self, 0, 0
        return receiver


def _size_of_fields(message: RawRequestMessage) -> int:
    return sum(len(name) + len(value) for name, value in message.raw_headers)


def _fields_too_large() -> FieldsTooLarge:
    return FieldsTooLarge(
        f"a request has at most {MAX_FIELDS} header fields, each of {MAX_FIELD_BYTES} bytes at most, and all of them "
        f"{MAX_FIELDS_BYTES}"
    )


def _refusal_of(error: BaseException | None) -> Refusal:
    """Return why a head cannot be read."""
    if isinstance(error, http_exceptions.LineTooLong):
        if error.args[1] == MAX_LINE_BYTES and error.args[0]:
            return LineTooLong(f"a request line has at most {MAX_LINE_BYTES} bytes")
        return _fields_too_large()
    if isinstance(error, http_exceptions.BadHttpMessage) and error.message.startswith("Too many headers"):
        return _fields_too_large()
    return BadRequest("this is no HTTP request (RFC 9112)")
