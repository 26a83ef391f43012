"""
A backend that is cheap to ask: ``python -m bench.backend PORT [big]``.

GET /ticker answers 100 bytes with the time. It stays the same until ``POST /go/COUNT`` has been asked: then each of the
next COUNT answers is new and bears the time at which it was given; ``POST /go/COUNT/SIZE`` makes them of another size.
GET /plain/… answers the same 2 KB with 200; GET /tagged/… the same with an ETag, and 304 to who knows it. GET /tiny/…
answers ten bytes, and GET /clock/… the time, which is new every time. GET /big answers 5 MB of rows, each time with
others of them changed. GET /counts tells how often the least and the most often asked path below /plain/ was asked
since this was last told.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from itertools import cycle
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


TINY = answer(b"200 OK", b'{"n":1234}')


def big_answers() -> list[bytes]:
    """Return 5 MB each, made once, because making them takes longer than anything that is measured."""
    rows = [
        {**ROW, "id": n, "lines": ["7", "12", "N4"], "position": {"lat": 48.8, "lon": n / 7}} for n in range(36_000)
    ]
    answers = []
    for turn in range(5):
        for n in range(turn, len(rows), 700):
            rows[n] = {**rows[n], "delay": turn + 0.5}
        answers.append(answer(b"200 OK", msgspec.json.encode({"rows": rows})))
    return answers


class Ticker:
    """The document with the time; new while there are answers left that shall be new."""

    left = 0
    size = 100
    body = b""

    def __init__(self) -> None:
        self.stamp()

    def stamp(self) -> None:
        self.body = stamped_body(self.size)

    def read(self) -> bytes:
        if self.left:
            self.left -= 1
            self.stamp()
        return answer(b"200 OK", self.body)


def stamped_body(size: int = 100) -> bytes:
    """Return an event of so many bytes that bears the time."""
    head = b'{"t":%d,"pad":"' % time.time_ns()
    return head + b"x" * (size - 2 - len(head)) + b'"}'


class Counts:
    """How often each path was asked."""

    def __init__(self) -> None:
        self._counter: Counter[bytes] = Counter()

    def note(self, request: bytes) -> None:
        self._counter[request[:24]] += 1

    def tell(self) -> bytes:
        counts = self._counter.values()
        text = msgspec.json.encode([len(counts), min(counts, default=0), max(counts, default=0), sum(counts)])
        self._counter.clear()
        return answer(b"200 OK", text)


class Connection(asyncio.Protocol):
    """A client that sends one request at a time."""

    big = cycle([TINY])  # until it is made
    counts = Counts()

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
            self.counts.note(request)
            return PLAIN
        if request.startswith(b"GET /tiny/"):
            return TINY
        if request.startswith(b"GET /clock/"):
            return answer(b"200 OK", stamped_body())
        if request.startswith(b"GET /big"):
            return next(self.big)
        if request.startswith(b"GET /counts"):
            return self.counts.tell()
        if request.startswith(b"GET /tagged/"):
            return NOT_MODIFIED if b"If-None-Match: " + TAG in request else TAGGED
        if request.startswith(b"GET /ticker"):
            return self._ticker.read()
        if request.startswith(b"POST /go/"):
            count, _, size = request.split()[1].removeprefix(b"/go/").partition(b"/")
            self._ticker.left, self._ticker.size = int(count), int(size or 100)
            return answer(b"200 OK")
        return answer(b"404 Not Found")


async def main(port: int, *, has_big: bool) -> None:
    ticker = Ticker()
    if has_big:
        Connection.big = cycle(big_answers())
    server = await asyncio.get_running_loop().create_server(lambda: Connection(ticker), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), has_big="big" in sys.argv))
