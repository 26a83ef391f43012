"""
A backend that is cheap to ask: ``python -m bench.backend PORT``.

GET /ticker answers about 100 bytes with the time. It stays the same until ``POST /go/COUNT`` has been asked: then each
of the next COUNT answers is new and bears the time at which it was given. GET /plain/… answers the same 2 KB with 200;
GET /tagged/… the same with an ETag, and 304 to who knows it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import cast

import msgspec
import uvloop

TAG = b'"v1"'
ROW = {"id": 1000, "name": "Quai 7", "state": "on time", "platform": "12b", "delay": 0.25}
DOCUMENT = msgspec.json.encode({"rows": [{**ROW, "id": 1000 + n} for n in range(26)], "total": 26})


def answer(status: bytes, body: bytes = b"", *fields: bytes) -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Type: application/json", b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


PLAIN = answer(b"200 OK", DOCUMENT)
TAGGED = answer(b"200 OK", DOCUMENT, b"ETag: " + TAG)
NOT_MODIFIED = answer(b"304 Not Modified").replace(b"Content-Length: 0\r\n", b"ETag: " + TAG + b"\r\n")


class Ticker:
    """The document with the time; new while there are answers left that shall be new."""

    left = 0
    body = b""

    def __init__(self) -> None:
        self.stamp()

    def stamp(self) -> None:
        self.body = stamped_body()

    def read(self) -> bytes:
        if self.left:
            self.left -= 1
            self.stamp()
        return answer(b"200 OK", self.body)


def stamped_body() -> bytes:
    """Return an event of 100 bytes that bears the time."""
    head = b'{"t":%d,"pad":"' % time.time_ns()
    return head + b"x" * (98 - len(head)) + b'"}'


class Connection(asyncio.Protocol):
    """A client that sends one request at a time."""

    def __init__(self, ticker: Ticker) -> None:
        self._ticker = ticker
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None, "connection_made comes first"
        self._transport.write(self._answer(data))

    def _answer(self, request: bytes) -> bytes:
        if request.startswith(b"GET /plain/"):
            return PLAIN
        if request.startswith(b"GET /tagged/"):
            return NOT_MODIFIED if b"If-None-Match: " + TAG in request else TAGGED
        if request.startswith(b"GET /ticker"):
            return self._ticker.read()
        if request.startswith(b"POST /go/"):
            self._ticker.left = int(request.split()[1].rpartition(b"/")[2])
            return answer(b"200 OK")
        return answer(b"404 Not Found")


async def main(port: int) -> None:
    ticker = Ticker()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(ticker), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
